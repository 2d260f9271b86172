"""The door of the command `pipelines.runs`, which is in the room `review`."""

from pipelines.review.command import console

if __name__ == "__main__":
    console()
