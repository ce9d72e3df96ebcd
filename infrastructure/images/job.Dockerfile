# The streaming job: driver and executors. Build from the root of the checkout:
#   docker build -f infrastructure/images/job.Dockerfile -t fraud-job .
FROM apache/spark:4.3.0-scala2.13-java17-ubuntu AS spark

FROM maven:3-eclipse-temurin-17 AS jars
COPY infrastructure/images/jars.xml infrastructure/images/jars.sh /build/
RUN /build/jars.sh /jars

FROM python:3.11-slim-bookworm AS python
WORKDIR /opt/fraud
COPY requirements.txt ./
COPY infrastructure/images/install.sh infrastructure/images/
# Spark's own image brings its jars.
RUN infrastructure/images/install.sh /opt/venv && rm -rf /opt/venv/lib/python3.11/site-packages/pyspark/jars

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 185 --create-home spark
COPY --from=spark /opt/spark /opt/spark
COPY --from=spark /opt/entrypoint.sh /opt/decom.sh /opt/
COPY --from=jars /jars/ /opt/spark/jars/
COPY --from=python /opt/venv /opt/venv
WORKDIR /opt/fraud
COPY fraud fraud
COPY adapters adapters
COPY operations operations
COPY producer producer
COPY processor processor
COPY ml_model ml_model
COPY console console
COPY embedded embedded
COPY decision_service decision_service
COPY cli cli
COPY config config
COPY infrastructure/images/start.sh infrastructure/images/job.sh infrastructure/images/
ENV PATH=/opt/venv/bin:/opt/spark/bin:$PATH \
    SPARK_HOME=/opt/spark \
    PYSPARK_PYTHON=/opt/venv/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/venv/bin/python \
    PYTHONDONTWRITEBYTECODE=1
# Compiled here, because a pod may not keep what it compiles: its root is read-only. At the end, because Python and numba
# go by the sources' times. Of the archives that Spark has its Python processes import PySpark from, nothing compiled is
# kept: without them they take the installed package.
RUN rm /opt/spark/python/lib/*.zip \
    && python -m compileall -q . \
    && NUMBA_CACHE_DIR=/opt/kernels infrastructure/images/start.sh \
    python -c "from ml_model.warm_up import compile_kernels; compile_kernels()"
USER 185
WORKDIR /opt/spark/work-dir
HEALTHCHECK --interval=20s --start-period=120s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9108/live', timeout=5)"]
ENTRYPOINT ["tini", "-s", "--", "/opt/fraud/infrastructure/images/start.sh", "/opt/fraud/infrastructure/images/job.sh"]
