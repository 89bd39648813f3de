// What runs in the demo's container: it takes its time to start, so that there is something to wait for.
import { createServer } from 'node:http'
import { page } from './page.mjs'

const { HOSTNAME: name = '', START_MS = '0', TEXT: text = '' } = process.env
const server = createServer((request, response) =>
  page(request, response, { name, stack: 'sleepy', service: 'web', text }),
)
const timer = setTimeout(() => server.listen(80), Number(START_MS))
// The first process of a container ends by a signal only if it says so.
process.on('SIGTERM', () => {
  clearTimeout(timer)
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
