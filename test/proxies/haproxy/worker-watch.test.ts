import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import type { MasterSocket } from '../../../src/proxies/haproxy/master-socket.js'
import type { WorkerProcess } from '../../../src/proxies/haproxy/master-socket-processes.js'
import { createWorkerWatch } from '../../../src/proxies/haproxy/worker-watch.js'

const signal = new AbortController().signal
const worker = (pid: number, reloads: number): WorkerProcess => ({ pid, reloads, uptimeSeconds: 60, version: '2.6.12' })

function watchOf(limit: number) {
  const lines: { worker: number; reloads: number; limit?: number }[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  let workers: WorkerProcess[] = []
  let oldWorkers: WorkerProcess[] = []
  const master = {
    settled: async () => ({ master: { ...worker(1, 9), failed: 0 }, workers, oldWorkers }),
  } as Partial<MasterSocket> as MasterSocket
  const watch = createWorkerWatch({ master, limit, log })
  const look = (serving: WorkerProcess[], old: WorkerProcess[]) => {
    workers = serving
    oldWorkers = old
    return watch.look(signal)
  }
  return { watch, look, told: () => lines.splice(0).map(({ worker: pid, reloads }) => [pid, reloads]) }
}

describe('the watch over workers', () => {
  test('knows nothing before it has looked', () => {
    expect(watchOf(50).watch.describe()).toEqual({})
  })

  test('counts those that only finish what they have', async () => {
    const { watch, look } = watchOf(50)
    expect(await look([worker(12, 0)], [worker(11, 1), worker(10, 2)])).toBe(12)
    expect(watch.describe()).toEqual({ worker: 12, 'old workers': 2 })
  })

  test('does not count the one that serves after a failed reload, which 3.1 and later list among the old ones', async () => {
    const { watch, look } = watchOf(50)
    expect(await look([], [worker(11, 1), worker(10, 2)])).toBe(11)
    expect(watch.describe()).toEqual({ worker: 11, 'old workers': 1 })
  })

  test('tells of each that has outlived half of the reloads that end it, once', async () => {
    const { look, told } = watchOf(6)
    await look([worker(12, 0)], [worker(11, 2)])
    expect(told()).toEqual([])
    await look([worker(13, 0)], [worker(12, 1), worker(11, 3)])
    await look([worker(14, 0)], [worker(12, 2), worker(11, 4)])
    expect(told()).toEqual([[11, 3]])
    await look([worker(14, 0)], [worker(12, 3)])
    await look([worker(14, 0)], [])
    // Process ids come again.
    await look([worker(14, 0)], [worker(11, 3)])
    expect(told()).toEqual([
      [12, 3],
      [11, 3],
    ])
  })

  test('tells of one that has outlived many reloads where nothing ends it', async () => {
    const { look, told } = watchOf(0)
    await look([worker(12, 0)], [worker(11, 24)])
    expect(told()).toEqual([])
    await look([worker(12, 0)], [worker(11, 25)])
    expect(told()).toEqual([[11, 25]])
  })
})
