FROM python:3.12-slim AS build
WORKDIR /source
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/headend \
 && /opt/headend/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY config config
COPY headend headend
COPY firmware_sim firmware_sim
RUN /opt/headend/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --create-home headend && mkdir /data && chown headend /data
COPY --from=build /opt/headend /opt/headend
ENV PATH=/opt/headend/bin:$PATH PYTHONUNBUFFERED=1
USER headend
WORKDIR /data
VOLUME /data
CMD ["headend", "serve"]
