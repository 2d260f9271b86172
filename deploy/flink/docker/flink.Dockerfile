# Flink with Beam's runner in its own lib/, so that workers stay from one stage of a job to the next.
# Build it from the project's folder after `make flink`, which downloads and checks the jars.
FROM flink:1.19.3-java17
COPY .flink/job-server/lib/ /tmp/beam/
RUN rm -f /tmp/beam/flink-* /tmp/beam/slf4j-* && mv /tmp/beam/* /opt/flink/lib/
