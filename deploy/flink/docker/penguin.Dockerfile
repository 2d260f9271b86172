# For the workers beside each TaskManager, and for the submitter: Python with the locked libraries and the
# project, and Java for Beam's job server. Build it from the project's folder after `make flink`.
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/penguin
COPY locks/requirements.lock ./locks/
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement locks/requirements.lock
COPY . ./
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
ENV TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
