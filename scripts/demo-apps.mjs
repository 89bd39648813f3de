// The small stacks that `npm start` shows: plain HTTP servers on free loopback ports, described as the file source wants them.
import { createServer } from 'node:http'

const APPS = [
  { stack: 'hello', service: 'web', count: 1, text: 'Hello! This stack has one container.' },
  { stack: 'shop', service: 'web', count: 3, text: 'The shop has three containers that take turns: reload to see.' },
  {
    stack: 'shop',
    service: 'api',
    count: 1,
    text: 'The shop’s API: the same hostname, chosen by path.',
    labels: { 'hostler.host': 'shop.%DOMAIN%', 'hostler.path': '/api', 'hostler.strip-path': 'true' },
  },
  {
    stack: 'preview',
    service: 'web',
    count: 1,
    text: 'Any name under preview.localhost leads here.',
    labels: { 'hostler.host': 'preview.%DOMAIN%,*.preview.%DOMAIN%' },
  },
]

/** Starts every app. Resolves with the instances for stacks.yml and a function that ends them. */
export async function startDemoApps() {
  const servers = []
  const instances = []
  for (const { stack, service, count, text, labels } of APPS) {
    for (let number = 1; number <= count; number++) {
      const name = `${stack}-${service}-${number}`
      const server = createServer((request, response) => answer(request, response, { name, stack, service, text }))
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      servers.push(server)
      const port = String(server.address().port)
      instances.push({ name, stack, service, address: '127.0.0.1', labels: { 'hostler.port': port, ...labels } })
    }
  }
  const stop = async () => {
    for (const server of servers) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
  return { instances, stop }
}

function answer(request, response, { name, stack, service, text }) {
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
