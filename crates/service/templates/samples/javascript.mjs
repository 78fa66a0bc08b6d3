// {{ p.example.title }}
const url = process.env.DOCKET_URL ?? {{ p.url }};
const key = process.env.DOCKET_KEY;
{%- for v in &p.example.variables %}
const {{ v.parameter }} = process.env.{{ v.environment }} ?? "{{ v.example }}";
{%- endfor %}
{%- if !p.pairs.is_empty() %}
const query = new URLSearchParams([
{%- for pair in &p.pairs %}
  [{{ pair.0 }}, {{ pair.1 }}],
{%- endfor %}
]);
{%- endif %}
{%- if let Some(body) = &p.body %}
const body = {{ body }};
{%- endif %}
const response = await fetch(`${url}{{ p.target }}{% if !p.pairs.is_empty() %}?${query}{% endif %}`, {
  method: "{{ p.method }}",
  headers: {
{%- if p.body.is_some() %}
    "Content-Type": "application/json",
{%- endif %}
    ...(key && { "X-API-KEY": key }),
  },
{%- if p.body.is_some() %}
  body: JSON.stringify(body),
{%- endif %}
});
if (!response.ok) {
  console.error(response.status, await response.text());
  process.exit(1);
}
{% if p.example.streams -%}
for await (const part of response.body) {
  process.stdout.write(part);
}
{%- else -%}
console.log(await response.{% if p.example.json %}json{% else %}text{% endif %}());
{%- endif %}
