import { afterEach, describe, expect, test } from '@jest/globals'
import { codeOf, messageOf } from '../../src/lib/errors.js'
import type { WorkloadSpec } from '../../src/runtimes/runtime.js'
import { type ApiVersion, RANCHER_IMAGE, type RancherApi, startRancherApi } from '../support/rancher-api.js'
import { until } from '../support/wait.js'
import { describeRuntimeContract } from './contract.js'
import { type RancherRuntimeOptions, rancherRuntime } from './rancher-runtime.js'

const harness = (version: ApiVersion) => async () => {
  const api = await startRancherApi()
  api.pageLimit = 3
  return {
    ...{ runtime: rancherRuntime(api, { version }), image: RANCHER_IMAGE, networks: ['managed', 'bridge'] as const },
    async url(id: string) {
      const port = api.world.portOf(id)
      if (port === undefined) throw new Error(`${id} does not run`)
      return `http://127.0.0.1:${port}`
    },
    breakOff: async () => api.fault('down'),
    mend: async () => api.fault(undefined),
    unreachable: /service.*: GET http:\S+ failed; see that Rancher runs there/,
    close: () => api.close(),
  }
}

describeRuntimeContract('rancher, v2-beta', harness('v2-beta'), [])
describeRuntimeContract('rancher, v1', harness('v1'), [])

const forever = new AbortController().signal
const started: RancherApi[] = []
afterEach(async () => {
  for (const api of started.splice(0)) await api.close()
})

async function open(options: RancherRuntimeOptions = {}) {
  const api = await startRancherApi()
  started.push(api)
  const runtime = rancherRuntime(api, options)
  const specOf = (more: Partial<WorkloadSpec> = {}): WorkloadSpec => ({
    ...{ name: 'web', image: RANCHER_IMAGE, networks: ['managed'], labels: { 'hostler.port': '80' }, env: {} },
    ...more,
  })
  const make = async (more: Partial<WorkloadSpec> = {}) => (await runtime.create(specOf(more), forever)).id
  const service = (id: string) => {
    const found = api.world.services.get(id)
    if (!found) throw new Error(`${id} is not there`)
    return found
  }
  return { api, runtime, specOf, make, service }
}

async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return [codeOf(error), messageOf(error)]
}

describe('what is created in Rancher', () => {
  test('has its limits, publishes the ports that its labels route to, and is in the stack that they name', async () => {
    const { api, make, service } = await open()
    // Before Rancher gives it its public ports.
    api.world.transitMs = 60_000
    const labels = {
      'hostler.port': '8080',
      'hostler.routes.api.port': '9000',
      'hostler.stack': 'shop',
      'map-public-http': 'x',
    }
    const limits = {
      memoryBytes: 1 << 20,
      cpus: 0.5,
      pids: 10,
      capDrop: ['ALL'],
      capAdd: ['CHOWN'],
      readOnly: true,
      noNewPrivileges: true,
    }
    const id = await make({ labels, limits, env: { A: 'b' }, command: ['run'] })
    expect(service(id)).toMatchObject({
      name: 'web',
      scale: 1,
      launchConfig: {
        ...{
          imageUuid: `docker:${RANCHER_IMAGE}`,
          labels,
          environment: { A: 'b' },
          command: ['run'],
          networkMode: 'managed',
        },
        ...{ ports: ['8080/tcp', '9000/tcp'], memory: 1 << 20, cpuPeriod: 100_000, cpuQuota: 50_000, pidsLimit: 10 },
        ...{ capDrop: ['ALL'], capAdd: ['CHOWN'], readOnly: true, securityOpt: ['no-new-privileges'] },
      },
    })
    expect(api.world.stacks.get(service(id).stackId)?.name).toBe('shop')
  })

  test.each(['v2-beta', 'v1'] as const)('makes its stack once (%s)', async (version) => {
    const { api, make, service } = await open({ version })
    const [a, b] = await Promise.all([make(), make({ name: 'web2' })])
    const stacks = [...api.world.stacks.values()]
    expect(stacks.map(({ name }) => name)).toEqual(['hostler'])
    expect([service(a).stackId, service(b).stackId]).toEqual([stacks[0]?.id, stacks[0]?.id])
  })

  test('is refused where it is not told in which project, on two networks, in a stack of no name', async () => {
    const { api, runtime, specOf } = await open()
    const two = await failureOf(runtime.create(specOf({ networks: ['managed', 'bridge'] }), forever))
    expect(two).toEqual(['refused', expect.stringMatching(/joins one network/)])
    const unnamed = await failureOf(runtime.create(specOf({ labels: { 'hostler.stack': '../x' } }), forever))
    expect(unnamed).toEqual(['refused', expect.stringMatching(/"\.\.\/x" is no name for a stack/)])
    api.world.project('Other')
    const failure = await failureOf(rancherRuntime(api).create(specOf(), forever))
    expect(failure).toEqual([
      'refused',
      expect.stringMatching(/several projects \(Default, Other\); set RANCHER_PROJECT/),
    ])
    expect(api.world.services.size).toBe(0)
    await rancherRuntime(api, { rancher: { project: 'Other' } }).create(specOf(), forever)
    expect(api.world.services.size).toBe(1)
  })
})

describe('labels of Rancher’s own', () => {
  test.each([
    'io.rancher.container.create_agent',
    'io.rancher.container.agent.role',
    'io.rancher.sidekicks',
    'io.rancher.scheduler.affinity:host_label',
    'IO.Rancher.Container.Create_Agent',
    'io.rancher.container.pull_image.x',
  ])('%s is not deployed: some of them give whoever sets them the whole environment', async (label) => {
    const { api, runtime, specOf } = await open()
    const labels = { 'hostler.port': '80', [label]: 'true' }
    expect(await failureOf(runtime.create(specOf({ labels }), forever))).toEqual([
      'refused',
      expect.stringMatching(
        /^the label "io\.rancher\.\S+" is refused: of Rancher's own labels only .* may be deployed$/i,
      ),
    ])
    expect(api.requests).toEqual([])
  })

  test('that tell how the container itself is run are', async () => {
    const { make, service } = await open()
    const labels = { 'io.rancher.container.pull_image': 'always', 'io.rancher.container.start_once': 'true' }
    expect(service(await make({ labels })).launchConfig?.labels).toEqual(labels)
  })
})

describe('actions that a state does not allow', () => {
  test('are waited for', async () => {
    const { api, runtime, make, service } = await open()
    api.world.transitMs = 300
    const id = await make()
    expect(service(id).state).toBe('registering')
    await runtime.start(id, forever)
    expect(service(id).state).toBe('active')
  })

  test('a stop calls off a start of somebody else', async () => {
    const { api, runtime, make, service } = await open()
    const id = await make()
    await until('it is made', () => service(id).state === 'inactive')
    api.world.transitMs = 400
    api.world.act(service(id), 'activate')
    await runtime.stop(id, forever)
    expect([service(id).state, api.world.starts(id)]).toEqual(['inactive', 0])
  })

  test('a start waits for the end of a stop of somebody else', async () => {
    const { api, runtime, make, service } = await open()
    const id = await make({ env: { STOP_MS: '300' } })
    await runtime.start(id, forever)
    await until('it listens', () => fetch(`http://127.0.0.1:${api.world.portOf(id)}`))
    api.world.act(service(id), 'deactivate')
    await runtime.start(id, forever)
    expect([service(id).state, api.world.starts(id)]).toEqual(['active', 2])
  })

  test('a start goes along with a start of somebody else, and waits for the end of a stop, however long they take', async () => {
    const { api, runtime, make, service } = await open({ timeouts: { actionMs: 50 } })
    const id = await make({ env: { STOP_MS: '300' } })
    await until('it is made', () => service(id).state === 'inactive')
    api.world.transitMs = 300
    api.world.act(service(id), 'activate')
    await runtime.start(id, forever)
    expect([service(id).state, api.world.starts(id)]).toEqual(['active', 1])
    api.world.act(service(id), 'deactivate')
    await runtime.start(id, forever)
    expect([service(id).state, api.world.starts(id)]).toEqual(['active', 2])
  })

  test('when it is taken away between look and act, there is another look', async () => {
    const { api, runtime, make, service } = await open()
    const id = await make()
    await until('it is made', () => service(id).state === 'inactive')
    api.before(/action=activate/, () => api.world.act(service(id), 'activate'))
    await runtime.start(id, forever)
    expect(api.world.starts(id)).toBe(1)

    api.fault('409', /action=deactivate/)
    const stopped = runtime.stop(id, forever)
    await until('it is refused again', () => api.requests.filter((one) => one.includes('=deactivate')).length > 1)
    api.fault(undefined)
    await stopped
    expect(service(id).state).toBe('inactive')

    api.before(/action=activate/, () => void api.world.services.delete(id))
    expect(await failureOf(runtime.start(id, forever))).toEqual([
      'no-such-workload',
      expect.stringMatching(/there is no service/),
    ])
  })

  test('that will not come are said to be missing, with what to do', async () => {
    const { api, runtime } = await open({ timeouts: { actionMs: 100 } })
    const upgraded = api.add({ name: 'a', state: 'upgraded' })
    expect(await failureOf(runtime.stop(upgraded.id, forever))).toEqual([
      'refused',
      expect.stringMatching(
        /stopping service 1s\d+ is not possible while it is upgraded; finish its upgrade or roll it back/,
      ),
    ])
    const stuck = api.add({ name: 'b', state: 'erroring' })
    expect(await failureOf(runtime.start(stuck.id, forever))).toEqual([
      'refused',
      expect.stringMatching(/Rancher offers no "activate" while it is erroring; see in Rancher what it waits for/),
    ])
    expect(api.requests.every((request) => !request.includes('action='))).toBe(true)
  })
})

describe('a start', () => {
  test('that fails tells why, and is called off: Rancher would go on trying', async () => {
    const { runtime, make, service } = await open()
    const id = await make({ image: 'localhost/nope:1' })
    expect(await failureOf(runtime.start(id, forever))).toEqual([
      'refused',
      expect.stringMatching(/starting service 1s\d+ was refused by Rancher: .*localhost\/nope:1.* not found/),
    ])
    expect(service(id).state).toBe('inactive')
  })

  test('that takes too long says what Rancher says', async () => {
    const { api, runtime, make } = await open({ timeouts: { startMs: 100 } })
    const id = await make()
    api.world.transitMs = 60_000
    expect(await failureOf(runtime.start(id, forever))).toEqual([
      'unreachable',
      expect.stringMatching(/has not ended after 0 s; Rancher says: activating In Progress: activating/),
    ])
  })

  test('goes on when Rancher does not answer for a while, and ends when that lasts', async () => {
    const { api, make } = await open()
    const id = await make()
    api.world.transitMs = 100
    const start = (silenceMs: number) => rancherRuntime(api, { timeouts: { silenceMs } }).start(id, forever)
    const patient = start(60_000)
    await until('it is asked for', () => api.requests.some((request) => request.includes('action=activate')))
    api.fault('503')
    const asked = api.requests.length
    await until('it is looked for in vain', () => api.requests.length > asked + 3)
    api.fault(undefined)
    await patient
    expect(api.world.starts(id)).toBe(1)

    await rancherRuntime(api).stop(id, forever)
    api.world.transitMs = 2000
    const since = api.requests.length
    const impatient = failureOf(start(50))
    await until('it is asked for', () =>
      api.requests.slice(since).some((request) => request.includes('action=activate')),
    )
    api.fault('503')
    expect(await impatient).toEqual(['unreachable', expect.stringMatching(/starting service .* answered 503/)])
  })

  test('of what has run once runs it again', async () => {
    const { api, runtime, make, service } = await open()
    const labels = { 'io.rancher.container.start_once': 'true' }
    const id = await make({ labels, env: { EXIT: '0' } })
    await runtime.start(id, forever)
    await until('it has run', () => service(id).healthState === 'started-once')
    expect((await runtime.inspect(id, forever))?.state).toBe('stopped')
    await runtime.stop(id, forever)
    await runtime.start(id, forever)
    expect(api.world.starts(id)).toBe(2)
  })
})

describe('which service is meant', () => {
  test('an instance at another address is its service', async () => {
    const { api, runtime, make, service } = await open()
    const id = await make()
    await runtime.start(`${id}@10.0.0.8`, forever)
    await runtime.start(`${id}@10.0.0.9:8080`, forever)
    expect([service(id).state, api.world.starts(id)]).toEqual(['active', 1])
    expect((await runtime.inspect(`${id}@10.0.0.8`, forever))?.id).toBe(id)
  })

  test('of several of one name, the one in the stack of what is deployed; else the oldest', async () => {
    const { api, runtime, make } = await open()
    const young = api.add({ name: 'web', stack: 'a', createdTS: 2000 })
    const old = api.add({ name: 'web', stack: 'b', createdTS: 1000 })
    expect((await runtime.inspect('web', forever))?.id).toBe(old.id)
    const own = await make()
    expect((await runtime.inspect('web', forever))?.id).toBe(own)
    expect((await runtime.inspect(young.id, forever))?.id).toBe(young.id)
  })

  test('the namesake of what is to be created is looked for in its stack alone', async () => {
    const { api, runtime, make, specOf } = await open()
    api.add({ name: 'web', stack: 'a' })
    const inStack = (name: string, stack: string) =>
      runtime.namesake?.(specOf({ name, labels: { 'hostler.stack': stack } }), forever)
    expect(await inStack('web', 'hostler')).toBeUndefined()
    const own = await make()
    expect((await inStack('Web', 'Hostler'))?.id).toBe(own)
    expect((await inStack('web', 'a'))?.id).not.toBe(own)
    expect(await inStack('web', 'b')).toBeUndefined()
    expect(await inStack('not a name', 'a')).toBeUndefined()
  })

  test('a project that has been deactivated is in nobody’s way', async () => {
    const { api, runtime, specOf } = await open()
    const gone = api.add({ name: 'gone', project: 'Other' })
    const { id } = api.add({ name: 'web' })
    expect((await runtime.inspect(gone.id, forever))?.name).toBe('gone')
    api.world.project('Other').state = 'inactive'
    expect((await runtime.inspect(id, forever))?.name).toBe('web')
    expect(await runtime.inspect(gone.id, forever)).toBeUndefined()
    await runtime.create(specOf({ name: 'new' }), forever)
  })

  test('it is found in whichever project it is', async () => {
    const { api, runtime } = await open()
    const { id } = api.add({ name: 'web', project: 'Other', state: 'inactive' })
    expect((await runtime.inspect(id, forever))?.name).toBe('web')
    await runtime.remove(id, { volumes: false }, forever)
    expect(await runtime.inspect(id, forever)).toBeUndefined()
  })
})

test('a wrong key is refused, and named without being shown', async () => {
  const { api } = await open()
  const runtime = rancherRuntime(api, { rancher: { secretKey: 'wrong-secret' } })
  const [code, message] = await failureOf(runtime.start('1s5', forever))
  expect(code).toBe('refused')
  expect(message).toMatch(/^starting service 1s5: GET http:\S+ answered 401; see that RANCHER_ACCESS_KEY/)
  expect(message).not.toMatch(/wrong-secret/)
})
