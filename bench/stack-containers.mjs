// Containers of stacks on a real daemon, which answer with their host name and can say when they began to listen.
import { readText, untilServed } from './requests.mjs'

// Without `-f` busybox's httpd listens by the time it returns. Its shell tells microseconds on the host's own clock.
const SERVE = `mkdir -p /www; hostname > /www/index.html; httpd -p 80 -h /www; echo $EPOCHREALTIME > /www/listening
trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done`

/** One container of a stack, created and not started. It answers with its `hostname`. */
export async function createOf(dockerd, stack, number = 1) {
  const name = `${stack}-web-${number}`
  const labels = { 'hostler.port': '80', 'hostler.stack': stack, 'hostler.service': 'web' }
  const created = await dockerd.run({ name, labels, cmd: ['/bin/sh', '-c', SERVE], start: false })
  return { ...created, hostname: created.id.slice(0, 12) }
}

/** Milliseconds since the epoch at which a container began to accept connections; one that is asked through a proxy. */
export async function listeningSince(target) {
  // It tells the time after it has begun to listen.
  await untilServed({ ...target, path: '/listening' }, { isWanted: (body) => body.endsWith('\n') })
  const at = Number((await readText({ ...target, path: '/listening' })).trim()) * 1000
  if (!(at > 0)) throw new Error('the container does not know the time: busybox 1.34 or later is needed')
  return at
}

/** Starts many at once, a few at a time, each a stack of its own. */
export async function startStacks(dockerd, count) {
  const stacks = Array.from({ length: count }, (_, index) => `present-${index}`)
  const worker = async () => {
    for (let stack = stacks.pop(); stack; stack = stacks.pop()) {
      const { container } = await createOf(dockerd, stack)
      await container.start()
    }
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}
