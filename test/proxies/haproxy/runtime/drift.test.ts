import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type DriverRig, hostOf, type Stacks, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { startUpstream, type Upstream } from '../../../support/upstreams.js'
import { until } from '../../../support/wait.js'

const signal = new AbortController().signal

describeHaproxys([], 'what somebody changes by hand', (program) => {
  let rig: DriverRig
  let one: Upstream
  let two: Upstream
  let stacks: Stacks

  beforeAll(async () => {
    ;[one, two] = [await startUpstream('one'), await startUpstream('two')]
    rig = await startDriverRig({ bin: program.bin })
    stacks = new Map([
      ['app', [one.port]],
      ['pair', [one.port, two.port]],
    ])
    rig.publish(stacks)
    await rig.apply()
  })
  afterAll(async () => {
    await rig?.stop()
    await one?.close()
    await two?.close()
  })

  const ask = async (command: string) => (await rig.socket.ask(command, signal)).text
  const server = (backend: string, { port }: Upstream) => `${backend}/s${port}`
  const status = async (host: string) => (await rig.get(host)).status
  const stateOf = async (name: string) => {
    const [backend = '', id = ''] = name.split('/')
    const line = (await ask(`show servers state ${backend}`)).split('\n').find((text) => text.split(' ')[3] === id)
    const fields = line?.split(' ') ?? []
    if (line === undefined) return undefined
    return { address: fields[4], admin: fields[6], weight: fields[7], port: fields[18] }
  }
  /** As it was loaded. */
  const asLoaded = ({ port }: Upstream) => ({ address: '127.0.0.1', admin: '0', weight: '1', port: String(port) })

  beforeEach(async () => {
    expect((await rig.apply()).how).toBe('nothing')
  })
  /** One pass puts it right without a reload, and the next one finds nothing to do. */
  const expectRepair = async () => {
    expect((await rig.apply()).how).toBe('runtime')
    expect((await rig.apply()).how).toBe('nothing')
  }
  /** The stacks as they were loaded; a backend that was added goes after its servers. */
  const forgetOthers = async () => {
    rig.publish(stacks)
    await until('nothing is left to do', async () => (await rig.apply()).how === 'nothing')
  }

  test('a server that is deleted is there again', async () => {
    await ask(`set server ${server('app', one)} state maint`)
    await until('it is deleted', async () => (await ask(`del server ${server('app', one)}`)).includes('deleted'))
    expect(await status(hostOf('app'))).toBe(503)
    await expectRepair()
    expect(await status(hostOf('app'))).toBe(200)
    expect(await stateOf(server('app', one))).toEqual(asLoaded(one))
  })

  test('a server that is added goes', async () => {
    expect(await ask('add server app/stray 127.0.0.1:9')).toContain('New server registered')
    await ask('enable server app/stray')
    await expectRepair()
    expect(await stateOf('app/stray')).toBeUndefined()
    expect(await status(hostOf('app'))).toBe(200)
  })

  test.each([
    ['maintenance', 'maint'],
    ['drain', 'drain'],
  ])('a server that is put in %s takes requests again', async (_, state) => {
    await ask(`set server ${server('app', one)} state ${state}`)
    expect((await stateOf(server('app', one)))?.admin).not.toBe('0')
    await expectRepair()
    expect(await stateOf(server('app', one))).toEqual(asLoaded(one))
    expect(await status(hostOf('app'))).toBe(200)
  })

  test('a server that is moved comes back, and one with another weight has its own again', async () => {
    await ask(`set server ${server('app', one)} addr 127.0.0.2 port 9`)
    await ask(`set server ${server('pair', two)} weight 0`)
    await until('it is moved', async () => (await stateOf(server('app', one)))?.port === '9')
    await expectRepair()
    expect(await stateOf(server('app', one))).toEqual(asLoaded(one))
    expect(await stateOf(server('pair', two))).toEqual(asLoaded(two))
    expect(await status(hostOf('app'))).toBe(200)
  })

  test('an entry of a map that is added goes, one that is missing comes back, one that leads elsewhere leads home', async () => {
    await ask(`add map ${rig.map} stray.example app`)
    await ask(`del map ${rig.map} ${hostOf('app')}`)
    await ask(`set map ${rig.map} ${hostOf('pair')} app`)
    expect([await status('stray.example'), await status(hostOf('app'))]).toEqual([200, 503])
    await expectRepair()
    expect([await status('stray.example'), await status(hostOf('app'))]).toEqual([503, 200])
    expect(await ask(`show map ${rig.map}`)).toMatch(/pair\.example pair\n/)
  })

  test('a map that is emptied is full again', async () => {
    await ask(`clear map ${rig.map}`)
    expect(await status(hostOf('pair'))).toBe(503)
    await expectRepair()
    expect([await status(hostOf('app')), await status(hostOf('pair'))]).toEqual([200, 200])
  })

  test('everything at once, in a stack that came without a reload', async () => {
    rig.publish(new Map([...stacks, ['late', [two.port]]]))
    expect((await rig.apply()).how).toBe('runtime')
    const [, backend = ''] = /late\.example (\S+)/.exec(await ask(`show map ${rig.map}`)) ?? []
    await ask(`set server ${server(backend, two)} state maint`)
    await until('it is deleted', async () => (await ask(`del server ${server(backend, two)}`)).includes('deleted'))
    await ask(`del map ${rig.map} ${hostOf('late')}`)
    expect(await status(hostOf('late'))).toBe(503)
    await expectRepair()
    expect(await status(hostOf('late'))).toBe(200)
    await forgetOthers()
    expect(await status(hostOf('late'))).toBe(503)
  })

  test('a backend that is deleted is there again', async () => {
    if (!program.atLeast(3, 4)) return
    rig.publish(new Map([...stacks, ['born', []]]))
    await rig.apply()
    expect(await ask('unpublish backend born')).toContain('unpublished')
    expect(await ask('del backend born')).toContain('deleted')
    rig.publish(new Map([...stacks, ['born', [one.port]]]))
    await rig.apply()
    expect(await status(hostOf('born'))).toBe(200)
    await forgetOthers()
  })

  test('servers and entries that vanish with a reload by somebody else are there after it', async () => {
    rig.publish(new Map([...stacks, ['late', [two.port]]]))
    expect((await rig.apply()).how).toBe('runtime')
    await rig.master.reload(signal)
    await rig.apply()
    expect(await status(hostOf('late'))).toBe(200)
    await forgetOthers()
  })
})
