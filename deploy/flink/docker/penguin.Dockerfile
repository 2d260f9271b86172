# For the workers beside each TaskManager, and for the submitter: Python with the locked libraries and the
# project, and Java for Beam's job server. Build it from the project's folder after `make flink`.
# The slim image, for --engine=onnx only: --build-arg LOCK=deploy/slim/flink.lock
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/penguin
ARG LOCK=locks/requirements.lock
COPY ${LOCK} /tmp/requirements.lock
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/requirements.lock
COPY . ./
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && python deploy/slim/check.py /tmp/requirements.lock deploy/slim/left_out.txt
ENV TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
