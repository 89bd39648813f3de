import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { type Agent, type Containers, startAgent } from '../../support/agent.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { seededRandom } from '../../support/random.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

const POLICY = fileURLToPath(new URL('../../fixtures/policies/labels.js', import.meta.url))
const LEASE_MS = 1000

describeWith(['etcd'], 'nodes that several processes keep', () => {
  let etcd: TestEtcd
  let agents: Agent[] = []
  let round = 0

  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterEach(async () => {
    for (const { hostler } of agents) hostler.child.kill('SIGCONT')
    await Promise.all(agents.map(({ hostler }) => hostler.stop('SIGKILL')))
    agents = []
  })
  afterAll(() => etcd.stop())

  /** A prefix of its own for every test: nothing of the test before is waited for. */
  const environment = (prefix: string) => ({
    HOSTLER_REGISTRIES: 'etcd',
    HOSTLER_POLICIES: POLICY,
    HOSTLER_ETCD_PREFIX: `/hostler${prefix}`,
    HOSTLER_ETCD_LEASE: `${LEASE_MS}ms`,
    ETCD_ENDPOINT: etcd.endpoint,
  })
  async function join(prefix: string, name: string, containers: Containers, stateDir?: string): Promise<Agent> {
    const agent = await startAgent({ name, containers, env: environment(prefix), ...(stateDir && { stateDir }) })
    agents.push(agent)
    return agent
  }
  const fresh = () => `/t${++round}`
  const are = (prefix: string, nodes: Record<string, string>) =>
    until(
      `the nodes are ${JSON.stringify(nodes)}`,
      async () => JSON.stringify(await etcd.all(`${prefix}/`)) === JSON.stringify(below(prefix, nodes)),
      LEASE_MS + 6000,
    )
  const warnings = ({ hostler }: Agent) =>
    hostler
      .log()
      .split('\n')
      .filter((line) => line.includes('"level":40'))

  test('§0 one container, one node: it is set, kept, changed and removed with its container', async () => {
    const at = fresh()
    const agent = await join(at, 'a', { web: { [`node:${at}/one`]: '1' } })
    await are(at, { one: '1' })
    const { kvs } = await etcd.client.get(`${at}/one`).exec()
    agent.say({ web: { [`node:${at}/one`]: '1' }, db: {} })
    await until('it has looked', async () => (await agent.hostler.state()).sources[0]?.instances === 2)
    await delay(LEASE_MS * 1.5)
    expect((await etcd.client.get(`${at}/one`).exec()).kvs[0]?.mod_revision).toBe(kvs[0]?.mod_revision)
    agent.say({ web: { [`node:${at}/one`]: '2' } })
    await are(at, { one: '2' })
    agent.say({ db: {} })
    await are(at, {})
    expect(warnings(agent)).toEqual([])
  })

  test('§1 several containers, the same value: it is kept while any of them has it', async () => {
    const at = fresh()
    const same = { [`node:${at}/one`]: '1' }
    const agent = await join(at, 'a', { web: same, db: same, job: same })
    await are(at, { one: '1' })
    const seen = await watching(at)
    agent.say({ job: same })
    agent.say({ db: same })
    await until('it has looked', async () => (await agent.hostler.state()).sources[0]?.instances === 1)
    await delay(100)
    expect(await seen.stop()).toEqual([])
    agent.say({})
    await are(at, {})
    expect(warnings(agent)).toEqual([])
  })

  test('§2 different values: the smaller wins, with a warning, until they agree', async () => {
    const at = fresh()
    const agent = await join(at, 'a', { web: { [`node:${at}/one`]: '2' }, db: { [`node:${at}/one`]: '1' } })
    await are(at, { one: '1' })
    await until('it has warned', () => warnings(agent).length > 0)
    expect(warnings(agent)[0]).toContain(`${at}/one: db and web do not agree`)
    agent.say({ web: { [`node:${at}/one`]: '2' }, db: { [`node:${at}/one`]: '2' } })
    await are(at, { one: '2' })
    await until('it is over', () => agent.hostler.log().includes('a trouble is over'))
    expect(warnings(agent)).toHaveLength(1)
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    '§3 several machines, the same value: who leaves by %s takes only its own claim along',
    async (signal) => {
      const at = fresh()
      const containers = { web: { [`node:${at}/both`]: '1' } }
      const a = await join(at, 'a', { ...containers, own: { [`node:${at}/own`]: 'a' } })
      const b = await join(at, 'b', containers)
      await are(at, { both: '1', own: 'a' })
      await until('both claim it', async () => (await b.hostler.state()).registries?.[0]?.entries === 1)
      const seen = await watching(at)
      await a.hostler.stop(signal)
      await are(at, { both: '1' })
      expect(await seen.stop()).toEqual([[`${at}/own`, undefined]])
      await b.hostler.stop('SIGKILL')
      await are(at, {})
    },
  )

  test('§4 several machines, different values: the smallest everywhere, warned of once on every side, and nothing flaps', async () => {
    const at = fresh()
    const a = await join(at, 'a', { web: { [`node:${at}/one`]: '5' } })
    await are(at, { one: '5' })
    const seen = await watching(at)
    const b = await join(at, 'b', { web: { [`node:${at}/one`]: '3' } })
    const c = await join(at, 'c', { web: { [`node:${at}/one`]: '4' } })
    await are(at, { one: '3' })
    const all = [a, b, c]
    await until('every side has warned', () => all.every((agent) => warnings(agent).length > 0))
    await delay(LEASE_MS * 2)
    expect(warnings(b)).toHaveLength(1)
    expect(warnings(c)).toHaveLength(1)
    expect(await seen.stop()).toEqual([[`${at}/one`, '3']])
    expect(all.map(({ hostler }) => hostler.child.exitCode)).toEqual([null, null, null])
    const after = await watching(at)
    b.say({})
    await are(at, { one: '4' })
    a.say({ web: { [`node:${at}/one`]: '4' } })
    await until('the conflict is over', () =>
      [a, c].every((agent) => agent.hostler.log().includes('a trouble is over')),
    )
    expect(await after.stop()).toEqual([[`${at}/one`, '4']])
  })

  test('a process that is paused for longer than its lease loses its claims, and claims again when it goes on', async () => {
    const at = fresh()
    await join(at, 'a', { web: { [`node:${at}/one`]: '5', [`node:${at}/both`]: '1' } })
    const b = await join(at, 'b', {
      web: { [`node:${at}/one`]: '3', [`node:${at}/both`]: '1', [`node:${at}/own`]: 'b' },
    })
    await are(at, { both: '1', one: '3', own: 'b' })
    const seen = await watching(at)
    b.hostler.child.kill('SIGSTOP')
    await are(at, { both: '1', one: '5' })
    b.hostler.child.kill('SIGCONT')
    await are(at, { both: '1', one: '3', own: 'b' })
    expect((await seen.stop()).sort()).toEqual(
      [
        [`${at}/one`, '5'],
        [`${at}/own`, undefined],
        [`${at}/one`, '3'],
        [`${at}/own`, 'b'],
      ].sort(),
    )
  })

  test('when etcd has lost its state everybody claims everything again, so that nobody takes along what others have', async () => {
    const at = fresh()
    const [web, db] = [{ [`node:${at}/web`]: '1' }, { [`node:${at}/db`]: '1' }]
    const a = await join(at, 'a', { web })
    const b = await join(at, 'b', { web })
    await are(at, { web: '1' })
    for (const agent of [a, b]) agent.say({ web, db })
    await are(at, { db: '1', web: '1' })
    const claims = `/hostler${at}/registrar/claims/`
    const allClaim = () =>
      until('both claim both', async () => Object.keys(await etcd.all(claims)).length === 4, LEASE_MS + 6000)
    await allClaim()
    await etcd.kill()
    await etcd.resume('empty')
    await allClaim()
    const seen = await watching(at)
    await a.hostler.stop('SIGTERM')
    await until('its claims are gone', async () => Object.keys(await etcd.all(claims)).length === 2)
    expect(await seen.stop()).toEqual([])
    await are(at, { db: '1', web: '1' })
  })

  test.each([8])(
    'three processes that join, leave, are killed, paused and cut off at random: the nodes follow, each in one step (seed %i)',
    async (seed) => {
      const at = fresh()
      const { next, pick } = seededRandom(seed)
      const world = new Map<string, Member>()
      const said: string[] = []
      let before: Record<string, string> = {}

      async function step(): Promise<void> {
        const name = pick(['a', 'b', 'c'])
        const member = world.get(name)
        const act = member
          ? pick(member.isPaused ? ['continue', 'kill'] : ['say', 'say', 'kill', 'stop', 'pause', 'etcd'])
          : 'join'
        said.push(`${act} ${name}`)
        if (act === 'join') {
          const nodes = randomNodes(pick, next)
          world.set(name, { agent: await join(at, name, { web: labelled(at, nodes) }), nodes, isPaused: false })
        } else if (!member) return
        else if (act === 'say') {
          member.nodes = randomNodes(pick, next)
          member.agent.say({ web: labelled(at, member.nodes) })
        } else if (act === 'kill' || act === 'stop') {
          world.delete(name)
          if (member.isPaused) member.agent.hostler.child.kill('SIGCONT')
          await member.agent.hostler.stop(act === 'kill' ? 'SIGKILL' : 'SIGTERM')
        } else if (act === 'pause' || act === 'continue') {
          member.isPaused = act === 'pause'
          member.agent.hostler.child.kill(member.isPaused ? 'SIGSTOP' : 'SIGCONT')
        } else {
          await etcd.kill()
          await etcd.resume()
        }
      }

      for (let count = 0; count < 14; count++) {
        const seen = await watching(at)
        await step()
        const wanted = smallest([...world.values()].filter(({ isPaused }) => !isPaused).map(({ nodes }) => nodes))
        await are(at, wanted).catch(async (error) => {
          throw new Error(`after ${said.join(', ')}: ${JSON.stringify(await etcd.all(`${at}/`))}`, { cause: error })
        })
        await delay(200)
        const steps = Object.keys({ ...before, ...wanted })
          .filter((node) => before[node] !== wanted[node])
          .map((node) => [`${at}/${node}`, wanted[node]])
        expect({ said, events: (await seen.stop()).sort() }).toEqual({ said, events: steps.sort() })
        before = wanted
      }
    },
  )

  async function watching(prefix: string) {
    const events: [string, string | undefined][] = []
    const marker = `${prefix}/last`
    const watcher = await etcd.client.watch().prefix(`${prefix}/`).create()
    watcher.on('put', ({ key, value }) => events.push([key.toString(), value.toString()]))
    watcher.on('delete', ({ key }) => events.push([key.toString(), undefined]))
    return {
      /** Everything that has happened until now: what comes after something of our own comes after all of it. */
      async stop() {
        await etcd.client.put(marker).value('')
        await etcd.client.delete().key(marker)
        await until('all is told', () => events.at(-1)?.[0] === marker && events.at(-1)?.[1] === undefined)
        await watcher.cancel()
        return events.slice(0, -2)
      },
    }
  }
})

interface Member {
  readonly agent: Agent
  nodes: Record<string, string>
  isPaused: boolean
}

function randomNodes(pick: <T>(items: readonly T[]) => T, next: () => number): Record<string, string> {
  const names = ['x', 'y', 'z'].filter(() => next() < 0.7)
  return Object.fromEntries(names.map((name) => [name, pick(['1', '2', '3'])]))
}

const labelled = (prefix: string, nodes: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(nodes).map(([name, value]) => [`node:${prefix}/${name}`, value]))

function smallest(all: readonly Record<string, string>[]): Record<string, string> {
  const result: Record<string, string> = {}
  for (const nodes of all) {
    for (const [name, value] of Object.entries(nodes)) {
      if (result[name] === undefined || value < result[name]) result[name] = value
    }
  }
  return result
}

const below = (prefix: string, nodes: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.keys(nodes)
      .sort()
      .map((name) => [`${prefix}/${name}`, nodes[name] as string]),
  )
