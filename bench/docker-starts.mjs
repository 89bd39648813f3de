import { setTimeout as delay } from 'node:timers/promises'

/** Docker's own time of each container's start event, milliseconds since the epoch. */
export async function followStarts(docker) {
  const stream = await docker.getEvents({ filters: { type: ['container'], event: ['start'] } })
  const times = new Map()
  let rest = ''
  stream.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop()
    for (const line of lines.filter(Boolean)) {
      // More digits than a number holds.
      const nanoseconds = /"timeNano":(\d+)/.exec(line)?.[1]
      times.set(JSON.parse(line).Actor.ID, Number(BigInt(nanoseconds) / 1000n) / 1000)
    }
  })
  stream.on('error', () => undefined)
  return {
    stop: () => stream.destroy(),
    async of(id) {
      for (let waited = 0; waited < 5000 && !times.has(id); waited += 5) await delay(5)
      return times.get(id)
    },
  }
}
