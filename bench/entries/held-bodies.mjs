// What is sent to a stack that sleeps: POST and PUT, from a byte to 100 MB, with a length and in chunks, through a real
// HAProxy. The app tells the hash of what it got, and how often.
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { openInn } from '../inn.mjs'
import { readText } from '../requests.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const SIZES = [1, 1000, 16_383, 16_384, 65_537, 1_000_000, 10_000_000, 100_000_000]
const PIECE = 65_536
const STACK = 'letterbox'

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'held-bodies' })
  await inn.lodge(STACK)
  await inn.open()
  await inn.settled([STACK])
  const all = SIZES.flatMap((bytes) =>
    ['POST', 'PUT'].flatMap((method) => ['length', 'chunks'].map((framing) => ({ bytes, method, framing }))),
  )
  let [damaged, notOnce] = [0, 0]
  for (const [index, one] of all.entries()) {
    const id = `body-${index}`
    const { wanted, got } = await send(inn.target(STACK, '/echo'), { ...one, id })
    const isWhole = got.sha256 === wanted && got.bodyBytes === one.bytes && got.method === one.method
    const { count } = JSON.parse(await readText(inn.target(STACK, `/seen/${id}`)))
    if (!isWhole) damaged++
    if (count !== 1) notOnce++
    if (!isWhole || count !== 1) say(`${JSON.stringify(one)}: ${JSON.stringify(got)}, seen ${count} times`)
    await inn.sleep(STACK)
  }
  const what = `${all.length} bodies for a stack that sleeps, 1 B to 100 MB, POST and PUT, with a length and in chunks`
  const row = (unit, figures) => ({ what: `${what}: ${unit}`, unit, target: { of: 'bodies', atMost: 0 }, figures })
  return [row('not byte-exact', { bodies: damaged }), row('not delivered once', { bodies: notOnce })]
}

async function send(target, { bytes, method, framing, id }) {
  const hash = createHash('sha256')
  const headers = { host: target.host, 'x-id': id, ...(framing === 'length' && { 'content-length': bytes }) }
  const { port, path } = target
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  const answered = new Promise((resolve, reject) => asked.on('response', resolve).on('error', reject))
  const [answer] = await Promise.all([answered, pipeline(Readable.from(pieces(bytes, hash)), asked)])
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return {
    wanted: hash.digest('hex'),
    got: answer.statusCode === 200 ? JSON.parse(text) : { status: answer.statusCode },
  }
}

function* pieces(bytes, hash) {
  for (let left = bytes; left > 0; left -= PIECE) {
    const piece = randomBytes(Math.min(PIECE, left))
    hash.update(piece)
    yield piece
  }
}
