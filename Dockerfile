# One image for web and worker. It carries the embedded model family; others are fetched into /models.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements.txt requirements-scale.txt ./
# One file of face-recognition-models is for non-commercial use; nothing here opens it, and it isn't passed on.
RUN /opt/venv/bin/python -m pip install --quiet -r requirements.txt -r requirements-scale.txt \
 && find /opt/venv -name shape_predictor_68_face_landmarks.dat -delete

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/models
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY . .
RUN python -m generation.miniature.assemble \
 && python -m compileall -q . \
 && SECRET_KEY=only-for-this-line python manage.py collectstatic --noinput --verbosity 0 \
 && chmod -R a+rX staticfiles \
 && useradd --system --create-home --uid 10001 cartolina \
 && mkdir -p data tmp_data training-app/training-input training-app/training-output /models \
 && chown -R cartolina data tmp_data training-app/training-input training-app/training-output /models
USER 10001
EXPOSE 8000
VOLUME ["/app/data", "/models"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "manage.py", "web", "--bind", "0.0.0.0:8000"]
