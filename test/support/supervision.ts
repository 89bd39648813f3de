import { createServer } from 'node:net'
import { afterEach } from '@jest/globals'
import { execa } from 'execa'
import { silentLogger } from '../../src/lib/logger.js'
import { createSupervisor, type Supervisor, type SupervisorOptions } from '../../src/proxies/haproxy/supervisor.js'
import { alive, ask, type Bench, createBench } from './haproxy.js'
import { tempDir } from './temp.js'
import { until } from './wait.js'

/** Makes supervisors of this HAProxy, for the suite that calls it; what they run ends after each test. */
export function supervision(bin: string) {
  const cleanUps: (() => unknown)[] = []
  afterEach(async () => {
    for (const step of cleanUps.splice(0).reverse()) await step()
  })
  const keep = (close: () => unknown) => void cleanUps.push(close)

  function supervise(bench: Bench, more: Partial<SupervisorOptions> = {}): Supervisor {
    const supervisor = createSupervisor({
      bin,
      args: bench.args,
      env: () => ({}),
      masterSocket: bench.masterSocket,
      reloadTimeoutMs: 15_000,
      stopTimeoutMs: 5000,
      log: silentLogger(),
      stdout: 'log',
      backoff: { next: () => 20, reset: () => undefined },
      ...more,
    })
    keep(() => supervisor.stop())
    return supervisor
  }

  async function running(more: Partial<SupervisorOptions> = {}) {
    const bench = await createBench(tempDir())
    const supervisor = supervise(bench, more)
    const started = await supervisor.start(new AbortController().signal)
    return { bench, supervisor, started }
  }

  /** A HAProxy as a Hostler that was killed leaves it behind. */
  async function leaveBehind(bench: Bench, more: readonly string[] = [], env = {}): Promise<number> {
    const child = execa(bin, ['-W', '-S', `${bench.masterSocket},mode,600`, ...bench.args(), ...more], {
      env,
      stdio: 'ignore',
      detached: true,
      cleanup: false,
      reject: false,
    })
    const pid = Number(child.pid)
    keep(() => alive(pid) && process.kill(pid, 'SIGKILL'))
    await until('it serves', () => ask(bench.url))
    return pid
  }

  return { supervise, running, leaveBehind, keep }
}

/** Somebody who listens on a port. @returns what ends it */
export async function takePort(port: number): Promise<() => Promise<unknown>> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return () => new Promise((resolve) => server.close(resolve))
}
