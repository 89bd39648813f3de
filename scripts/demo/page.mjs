/** What every demo app shows. */
export function page(request, response, { name, stack, service, text }) {
  const escaped = (value) => String(value).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(stack)}</title>
<style>
  :root { color-scheme: light dark; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 17px/1.6 system-ui, sans-serif; }
  main { max-width: 34rem; padding: 2rem; }
  h1 { font-size: 1.5rem; margin: 0 0 1rem; }
  dt { opacity: 0.6; font-size: 0.85rem; }
  dd { margin: 0 0 0.6rem; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
</style>
<main>
<h1>${escaped(text)}</h1>
<dl>
<dt>asked for</dt><dd>${escaped(request.headers.host)}${escaped(request.url)}</dd>
<dt>stack, service</dt><dd>${escaped(stack)}, ${escaped(service)}</dd>
<dt>answered by</dt><dd>${escaped(name)}</dd>
</dl>
</main>
`)
}
