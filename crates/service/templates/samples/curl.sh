#!/bin/sh
# {{ p.example.title }}
url=${DOCKET_URL:-{{ p.url }}{{ "}" }}
{%- for v in &p.example.variables %}
{{ v.snake }}={{ "${" }}{{ v.environment }}:-{{ v.example }}{{ "}" }}
{%- endfor %}

curl --silent --show-error --fail-with-body {% if p.example.streams %}--no-buffer {% endif %}--request {{ p.method }} \
    "$url{{ p.target }}" \
{%- if let Some(body) = &p.body %}
    --header "X-API-KEY: ${DOCKET_KEY:-}" \
    --header "Content-Type: application/json" \
    --data-binary @- <<JSON
{{ body }}
JSON
{%- else %}
{%- if !p.pairs.is_empty() %}
    --get \
{%- for pair in &p.pairs %}
    --data-urlencode "{{ pair.0 }}={{ pair.1 }}" \
{%- endfor %}
{%- endif %}
    --header "X-API-KEY: ${DOCKET_KEY:-}"
{%- endif %}
