# {{ p.example.title }}
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

url = os.environ.get("DOCKET_URL", {{ p.url }})
key = os.environ.get("DOCKET_KEY")
{%- for v in &p.example.variables %}
{{ v.snake }} = os.environ.get("{{ v.environment }}", "{{ v.example }}")
{%- endfor %}

path = f"{{ p.target }}"
{%- if !p.pairs.is_empty() %}
query = urllib.parse.urlencode([
{%- for pair in &p.pairs %}
    ({{ pair.0 }}, {{ pair.1 }}),
{%- endfor %}
])
{%- endif %}
{%- if let Some(body) = &p.body %}
body = {{ body }}
{%- endif %}
request = urllib.request.Request(
    {% if p.pairs.is_empty() %}url + path{% else %}f"{url}{path}?{query}"{% endif %},
    method="{{ p.method }}",
{%- if p.body.is_some() %}
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json"},
{%- endif %}
)
if key:
    request.add_header("X-API-KEY", key)
try:
    with urllib.request.urlopen(request) as response:
{%- if p.example.streams %}
        for line in response:
            print(line.decode(), end="", flush=True)
{%- else if p.example.json %}
        print(json.dumps(json.load(response), indent=2))
{%- else %}
        print(response.read().decode())
{%- endif %}
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode()}")
