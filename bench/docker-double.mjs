// A process that answers as a Docker engine with many containers does: node docker-double.mjs SOCKET COUNT, forked.
// Told `{ index, health }` by its parent it changes that container, and says `{ at }`: when the event was written.
import { createServer } from 'node:http'
import { inspectAnswer, labelsOf, listEntry, nameOf } from './fleet.mjs'
import { createWallClock } from './wall-clock.mjs'

const [socket, count] = [process.argv[2], Number(process.argv[3])]
const wallMs = createWallClock()
const health = Array.from({ length: count }, () => 'healthy')
const entries = health.map((word, index) => JSON.stringify(listEntry(index, word)))
const followers = new Set()
let list
const rebuilt = () => Buffer.from(`[${entries.join(',')}]`)

const server = createServer((request, response) => {
  const path = request.url.replace(/^\/v[\d.]+/, '').split('?')[0]
  const json = (body) => {
    response.writeHead(200, { 'content-type': 'application/json', server: 'Docker/28.2.2 (linux)' })
    response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
  }
  if (path === '/events') {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    followers.add(response)
    request.on('close', () => followers.delete(response))
  } else if (path === '/containers/json') {
    list ??= rebuilt()
    json(list)
  } else if (path === '/info') {
    json({ SecurityOptions: ['name=seccomp,profile=builtin'] })
  } else {
    const index = Number.parseInt(/^\/containers\/([0-9a-f]{8})[0-9a-f]{56}\/json$/.exec(path)?.[1] ?? '', 16)
    if (health[index] !== undefined) return json(inspectAnswer(index, health[index]))
    response.writeHead(404, { 'content-type': 'application/json' })
    response.end('{"message":"page not found"}')
  }
})

function change(index, word) {
  health[index] = word
  entries[index] = JSON.stringify(listEntry(index, word))
  list = undefined
  const at = wallMs()
  const attributes = { ...labelsOf(index), image: 'app', name: `${nameOf(index)}-web-1` }
  const event = {
    ...{ Type: 'container', Action: `health_status: ${word}`, scope: 'local' },
    ...{ Actor: { ID: JSON.parse(entries[index]).Id, Attributes: attributes } },
    ...{ time: Math.floor(at / 1000), timeNano: Math.round(at * 1e6) },
  }
  for (const follower of followers) follower.write(`${JSON.stringify(event)}\n`)
  return at
}

process.on('message', ({ index, health: word }) => process.send({ at: change(index, word), followers: followers.size }))
process.on('disconnect', () => process.exit(0))
list = rebuilt()
server.listen(socket, () => process.send({ listening: true }))
