import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import { type DriverRig, hostOf, type Stacks, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { seededRandom } from '../../../support/random.js'
import { startUpstream } from '../../../support/upstreams.js'
import { until } from '../../../support/wait.js'

const signal = new AbortController().signal
const STACKS = ['s1', 's2', 's3', 's4', 's5', 's6']

describeHaproxys([], 'changes and reloads at once', ({ bin, extra }) => {
  const rounds = extra ? 40 : 200

  test('changes that race reloads, our own and those of others, are never lost', async () => {
    const rig = await startDriverRig({ bin })
    const upstreams = [await startUpstream('a'), await startUpstream('b'), await startUpstream('c')]
    const ports = upstreams.map(({ port }) => port)
    try {
      const { next, pick } = seededRandom(20_260)
      const stacks = new Map<string, number[]>()
      rig.publish(stacks)
      await rig.apply()
      const ways = new Set<string>()
      let frame = 0
      for (let round = 0; round < rounds; round++) {
        const rival = next() < 0.7 ? rivalReload(rig, next() * 15, pick(['signal', 'command'])) : undefined
        await delay(next() * 15)
        change(stacks, pick, ports)
        if (next() < 0.15) frame++
        rig.publish(stacks, String(frame))
        // What is planned here is carried out below, unless the reload comes between them.
        if (next() < 0.5) await rig.check()
        if (next() < 0.3) await delay(next() * 10)
        ways.add((await rig.apply()).how)
        await rival
        expect({ round, has: await served(rig) }).toEqual({ round, has: wantedOf(stacks) })
        const asked = pick(STACKS)
        expect([round, (await rig.get(hostOf(asked))).status]).toEqual([round, stacks.has(asked) ? 200 : 503])
      }
      expect(ways).toContain('runtime')
      expect(ways).toContain('reload')
    } finally {
      await rig.stop()
      for (const upstream of upstreams) await upstream.close()
    }
  })

  test('a change is made again when a worker takes over that had read the files before it', async () => {
    const slow = (dir: string) => {
      writeFileSync(join(dir, 'slow.map'), Array.from({ length: 400_000 }, (_, i) => `${i}.example x\n`).join(''))
      return `backend slow\n  http-request deny if { path,map_str(${join(dir, 'slow.map')}) -m found }\n`
    }
    const rig = await startDriverRig({ bin, last: slow })
    const upstream = await startUpstream('a')
    try {
      rig.publish(new Map())
      await rig.apply()
      const { master } = await rig.master.processes(signal)
      process.kill(master.pid, 'SIGUSR2')
      // It refuses while it reads: our files first, for the slow one is the last.
      await until('the master reads its files', () =>
        rig.master.processes(signal).then(
          () => false,
          () => true,
        ),
      )
      await delay(60)
      const stacks = new Map([['late', [upstream.port]]])
      rig.publish(stacks)
      await rig.apply()
      expect((await rig.master.processes(signal)).master.reloads).toBeGreaterThan(master.reloads)
      expect(await served(rig)).toEqual(wantedOf(stacks))
      expect((await rig.get(hostOf('late'))).status).toBe(200)
    } finally {
      await rig.stop()
      await upstream.close()
    }
  })
})

/** Somebody else makes HAProxy reload. Resolves when that is over. */
async function rivalReload(rig: DriverRig, waitMs: number, way: 'signal' | 'command'): Promise<void> {
  await delay(waitMs)
  const { master } = await until('the master answers', () => rig.master.processes(signal))
  if (way === 'signal') process.kill(master.pid, 'SIGUSR2')
  else await rig.master.command('reload', signal).catch(() => undefined)
  await until('somebody has reloaded', async () => (await rig.master.processes(signal)).master.reloads > master.reloads)
}

function change(stacks: Map<string, number[]>, pick: <T>(items: readonly T[]) => T, ports: readonly number[]): void {
  const stack = pick(STACKS)
  const present = stacks.get(stack) ?? []
  const absent = ports.filter((port) => !present.includes(port))
  if (present.length === 0) stacks.set(stack, [pick(ports)])
  else if (absent.length > 0 && pick([true, false])) stacks.set(stack, [...present, pick(absent)])
  else if (present.length > 1 && pick([true, false])) stacks.set(stack, present.slice(1))
  else stacks.delete(stack)
}

/** Host → ports of the servers that take requests for it, as HAProxy tells. */
async function served({ socket, map }: DriverRig): Promise<Record<string, number[]>> {
  const { maps, servers } = await readRunning(socket, { maps: [map] }, signal)
  const portsOf = (backend: string) => {
    const ready = [...(servers.get(backend)?.values() ?? [])].filter(({ maintenance }) => !maintenance)
    return ready.map(({ port }) => port).sort()
  }
  return Object.fromEntries([...(maps.get(map) ?? [])].map(([host, backend]) => [host, portsOf(backend)]))
}

const wantedOf = (stacks: Stacks): Record<string, number[]> =>
  Object.fromEntries([...stacks].map(([stack, ports]) => [hostOf(stack), [...ports].sort()]))
