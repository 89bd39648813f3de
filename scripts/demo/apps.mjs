// The small stacks that `npm start` shows: plain HTTP servers on free loopback ports, described as the file source wants them.
import { createServer } from 'node:http'
import { page } from './page.mjs'

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
      const server = createServer((request, response) => page(request, response, { name, stack, service, text }))
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
