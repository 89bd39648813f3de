import { describe, expect, test } from '@jest/globals'
import type { GroupState } from '../../src/lifecycle/world.js'
import { rules } from '../support/instances.js'
import type { Town } from '../support/town.js'
import { createTowns, service, told, web } from '../support/towns.js'

const townOf = createTowns()

/** How a promise has ended by now. */
function noting(promise: Promise<unknown>): { how: string } {
  const seen = { how: 'waiting' }
  promise.then(
    () => (seen.how = 'ready'),
    (error) => (seen.how = `${error.code}: ${error.message}`),
  )
  return seen
}

describe('waking', () => {
  test('starts what is asleep once for all who ask, and resolves when the plan has a server', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', bootMs: 700 }))
    expect(town.waker.state('web')?.phase).toBe('asleep')
    const wakes = Array.from({ length: 100 }, () => noting(town.waker.wake('web')))
    await town.advance(600)
    expect(wakes.every(({ how }) => how === 'waiting')).toBe(true)
    expect(town.waker.state('web')?.phase).toBe('waking')
    await town.advance(200)
    expect(wakes.every(({ how }) => how === 'ready')).toBe(true)
    expect(told(town)).toEqual(['start web'])
    expect(town.events).toMatchObject([{ what: 'woken', group: 'web' }])
    expect(town.world.plan()?.backends[0]?.servers).toHaveLength(1)
    expect(town.waker.state('web')).toMatchObject({ phase: 'awake', steps: [{ service: 'web', what: 'ready' }] })
  })

  test('resolves at once when it is ready, and starts nothing', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    await town.waker.wake('web')
    expect(town.engine.asked).toEqual([])
    expect(town.waker.state('web')?.lastWake).toBeUndefined()
  })

  test('tells when the last start ended well and how long it took', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', bootMs: 500 }))
    const wake = town.waker.wake('web')
    await town.advance(600)
    await wake
    const { lastWake } = town.waker.state('web') ?? {}
    expect(lastWake?.ms).toBeGreaterThanOrEqual(500)
    expect(lastWake?.at).toBeGreaterThanOrEqual(1_000_500)
    expect(town.events).toEqual([{ what: 'woken', group: 'web', ms: lastWake?.ms }])
  })

  test.each<[string, (town: Town) => void, string[]]>([
    ['stopped', ({ engine }) => engine.stop('web'), ['start web']],
    ['paused', ({ engine }) => engine.pause('web'), ['unpause web']],
    ['unhealthy', ({ engine }) => engine.ail('web'), ['stop web', 'start web']],
    ['ended by itself', ({ engine }) => engine.crash('web'), ['start web']],
  ])('brings back what is %s', async (_, happen, calls) => {
    const town = await townOf((engine) => engine.add('web', web, { hasCheck: true, bootMs: 100 }))
    happen(town)
    await town.settle()
    const wake = noting(town.waker.wake('web'))
    await town.advance(1000)
    expect(wake.how).toBe('ready')
    expect(told(town)).toEqual(calls)
  })

  test('waits for what somebody else has started, and starts nothing', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', bootMs: 500 }))
    town.engine.start('web')
    await town.settle()
    expect(town.waker.state('web')?.phase).toBe('waking')
    const wake = noting(town.waker.wake('web'))
    await town.advance(400)
    expect(wake.how).toBe('waiting')
    await town.advance(200)
    expect(wake.how).toBe('ready')
    expect(town.engine.asked).toEqual([])
  })

  test('waits for what its engine is starting again', async () => {
    const town = await townOf((engine) => engine.add('web', web, { restarts: true }))
    town.engine.crash('web')
    await town.settle()
    const wake = noting(town.waker.wake('web'))
    await town.advance(300)
    expect(wake.how).toBe('ready')
    expect(town.engine.asked).toEqual([])
  })

  test('what is being stopped is started when it has ended', async () => {
    const town = await townOf((engine) => engine.add('web', web, { stopMs: 3000 }))
    town.engine.stop('web')
    await town.settle()
    const wake = noting(town.waker.wake('web'))
    await town.advance(2900)
    expect(town.engine.asked).toEqual([])
    await town.advance(300)
    expect(wake.how).toBe('ready')
  })

  test('every backend of the group is waited for', async () => {
    const town = await townOf((engine) => {
      engine.add('web', { ...web, stack: 's', service: 'web' }, { state: 'stopped', bootMs: 100 })
      engine.add('api', { ...web, stack: 's', service: 'api', host: 'api.test' }, { state: 'stopped', bootMs: 900 })
    })
    const wake = noting(town.waker.wake('s'))
    await town.advance(800)
    expect(wake.how).toBe('waiting')
    await town.advance(300)
    expect(wake.how).toBe('ready')
  })

  test('what is unhealthy is stopped only when no proxy leads to it any more', async () => {
    const town = await townOf((engine) => engine.add('web', web, { hasCheck: true }))
    town.proxy.applyMs = 500
    town.engine.ail('web')
    const routed: unknown[] = []
    town.engine.onStop = () => void routed.push(town.proxy.current?.backends[0]?.servers)
    const wake = noting(town.waker.wake('web'))
    await town.advance(3000)
    expect([wake.how, routed]).toEqual(['ready', [[]]])
  })

  test('a proxy that takes no plan does not keep what is unhealthy as it is', async () => {
    const town = await townOf((engine) => engine.add('web', web, { hasCheck: true }))
    town.engine.ail('web')
    await town.settle()
    town.proxy.isBroken = true
    const wake = noting(town.waker.wake('web'))
    await town.advance(6000)
    expect([wake.how, told(town)]).toEqual(['ready', ['stop web', 'start web']])
  })

  test('whoever was not needed for requests goes on coming up, and is not started twice for the next ones', async () => {
    const town = await townOf((engine) => {
      engine.add('web', { ...web, stack: 's' }, { state: 'stopped' })
      engine.add('worker', { port: 'none', wake: 'true', stack: 's' }, { state: 'stopped', startMs: 5000 })
    })
    const first = noting(town.waker.wake('s'))
    await town.advance(500)
    town.engine.crash('web')
    await town.settle()
    const second = noting(town.waker.wake('s'))
    await town.advance(6000)
    expect([first.how, second.how]).toEqual(['ready', 'ready'])
    expect([told(town).toSorted(), town.engine.needless]).toEqual([['start web', 'start web', 'start worker'], []])
  })

  test('facts that lag behind what was done mislead nobody', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped' }))
    town.engine.isTelling = false
    const wake = noting(town.waker.wake('web'))
    await town.advance(5000)
    expect(wake.how).toBe('waiting')
    expect(told(town)).toEqual(['start web'])
    town.engine.isTelling = true
    await town.advance(100)
    expect(wake.how).toBe('ready')
    expect(told(town)).toEqual(['start web'])
  })
})

describe('what is not ours to start', () => {
  test('is left alone, though it belongs to the group', async () => {
    const town = await townOf((engine) => {
      engine.add('web', { ...web, stack: 's' }, { state: 'stopped' })
      engine.add('tools', { port: 'none', stack: 's', wake: 'false' }, { state: 'stopped' })
    })
    const wake = noting(town.waker.wake('s'))
    await town.advance(200)
    expect(wake.how).toBe('ready')
    expect(told(town)).toEqual(['start web'])
  })

  test('is waited for while it comes, and told when it does not', async () => {
    const town = await townOf((engine) =>
      engine.add('web', { port: '80' }, { state: 'stopped', boots: 'unhealthy', hasCheck: true, bootMs: 500 }),
    )
    town.engine.start('web')
    await town.settle()
    const wake = noting(town.waker.wake('web'))
    await town.advance(2000)
    expect(wake.how).toBe('WAKE_FAILED: web: it takes no requests (unhealthy)')
    expect(town.engine.asked).toEqual([])
  })

  test('an unknown group is none', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    await expect(town.waker.wake('\u001b[31mother')).rejects.toMatchObject({
      code: 'NO_SUCH_GROUP',
      message: 'nothing is called \\u001b[31mother, or it is not known yet',
    })
    expect(town.waker.state('other')).toBeUndefined()
  })
})

describe('the order in which a group starts', () => {
  const front = (dependsOn: string) => service('web', dependsOn, { port: '80' })

  test('dependencies first, by their conditions; what is independent at the same time', async () => {
    const town = await townOf((engine) => {
      const asleep = { state: 'stopped' } as const
      engine.add('web', front('api:service_started:true,migrate:service_completed_successfully:true'), asleep)
      engine.add('api', service('api', 'db:service_healthy:true'), asleep)
      engine.add('db', service('db'), { ...asleep, hasCheck: true, bootMs: 500 })
      engine.add('migrate', service('migrate', 'db:service_healthy:true'), { ...asleep, exitsAfterMs: 1000 })
      engine.add('cache', service('cache'), asleep)
    })
    const wake = noting(town.waker.wake('shop'))
    await town.settle()
    expect(told(town)).toEqual(['start db', 'start cache'])
    expect(town.waker.state('shop')?.steps.map(({ service, what }) => `${service} ${what}`)).toEqual([
      'db probing',
      'api waiting',
      'migrate waiting',
      'web waiting',
      'cache ready',
    ])
    await town.advance(550)
    expect(told(town).slice(2)).toEqual(['start api', 'start migrate'])
    await town.advance(900)
    expect(told(town)).toHaveLength(4)
    await town.advance(300)
    expect(told(town).slice(4)).toEqual(['start web'])
    expect(wake.how).toBe('ready')
    expect(town.engine.get('migrate').state).toBe('stopped')
  })

  test('skips what runs; a job is done again only when somebody who waits for it is started', async () => {
    const town = await townOf((engine) => {
      engine.add('db', service('db'))
      engine.add('migrate', service('migrate', 'db:service_started:true'), { state: 'stopped', exitsAfterMs: 10 })
      engine.add('web', front('migrate:service_completed_successfully:true'))
    })
    town.engine.pause('web')
    await town.settle()
    const unpaused = noting(town.waker.wake('shop'))
    await town.advance(200)
    expect([unpaused.how, told(town)]).toEqual(['ready', ['unpause web']])
    town.engine.stop('web')
    await town.settle()
    const again = noting(town.waker.wake('shop'))
    await town.advance(500)
    expect([again.how, told(town).slice(1)]).toEqual(['ready', ['start migrate', 'start web']])
  })

  test('a job that fails is the end of it', async () => {
    const town = await townOf((engine) => {
      engine.add('migrate', service('migrate'), { state: 'stopped', exitsAfterMs: 300, exitCode: 3 })
      engine.add('web', front('migrate:service_completed_successfully:true'), { state: 'stopped' })
    })
    const wake = noting(town.waker.wake('shop'))
    await town.advance(600)
    expect(wake.how).toBe('WAKE_FAILED: migrate: its container ended with code 3 after 0.3 s')
    expect(told(town)).toEqual(['start migrate'])
  })

  test('a dependency that may not be started is not waited for', async () => {
    const town = await townOf((engine) => {
      engine.add('mail', service('mail', '', { wake: 'false' }), { state: 'stopped' })
      engine.add('web', front('mail:service_healthy:true'), { state: 'stopped' })
    })
    const wake = noting(town.waker.wake('shop'))
    await town.advance(200)
    expect([wake.how, told(town)]).toEqual(['ready', ['start web']])
  })

  test('containers that wait for each other in a circle are started all the same', async () => {
    const town = await townOf((engine) => {
      engine.add('a', service('a', 'b:service_healthy:true', { port: '80' }), { state: 'stopped' })
      engine.add('b', service('b', 'a:service_healthy:true'), { state: 'stopped' })
    })
    const wake = noting(town.waker.wake('shop'))
    await town.advance(300)
    expect([wake.how, told(town)]).toEqual(['ready', ['start b', 'start a']])
  })
})

describe('groups that need others', () => {
  const shared = (engine: Town['engine']) => {
    const asleep = { state: 'stopped' } as const
    engine.add('db', service('db', '', { group: 'data' }), { ...asleep, hasCheck: true, bootMs: 500 })
    for (const name of ['front', 'api']) {
      const labels = { group: name, port: '80', host: `${name}.test` }
      engine.add(name, service(name, 'db:service_healthy:true', labels), asleep)
    }
  }

  test('start them first, once for all who need them', async () => {
    const town = await townOf(shared)
    const wakes = [noting(town.waker.wake('front')), noting(town.waker.wake('api'))]
    await town.settle()
    expect(town.waker.state('data')?.phase).toBe('waking')
    expect(town.waker.state('front')?.steps.map(({ service }) => service)).toEqual(['db', 'front'])
    await town.advance(800)
    expect(wakes.map(({ how }) => how)).toEqual(['ready', 'ready'])
    expect(told(town)).toEqual(['start db', 'start front', 'start api'])
    expect(town.waker.state('data')?.phase).toBe('awake')
  })

  test('fail with what they need, at once while that may not be tried again', async () => {
    const town = await townOf((engine) => {
      shared(engine)
      engine.get('db').behaviour.exitsAfterMs = 200
      engine.get('db').behaviour.exitCode = 1
    })
    const wake = noting(town.waker.wake('front'))
    await town.advance(500)
    const reason = 'WAKE_FAILED: db: its container ended with code 1 after 0.2 s'
    expect(wake.how).toBe(reason)
    await expect(town.waker.wake('api')).rejects.toMatchObject({ message: reason.slice('WAKE_FAILED: '.length) })
    expect(told(town)).toEqual(['start db'])
  })

  test('do not wait for each other in a circle', async () => {
    const town = await townOf((engine) => {
      const asleep = { state: 'stopped' } as const
      engine.add('web', service('web', 'db:service_healthy:true', { group: 'front', port: '80' }), asleep)
      engine.add('db', service('db', '', { group: 'data' }), asleep)
      engine.add('exporter', service('exporter', 'web:service_healthy:true', { group: 'data' }), asleep)
    })
    const wakes = [noting(town.waker.wake('front')), noting(town.waker.wake('data'))]
    await town.advance(500)
    expect(wakes.map(({ how }) => how)).toEqual(['ready', 'ready'])
    expect(told(town)).toEqual(['start db', 'start web', 'start exporter'])
  })
})

describe('a start that fails', () => {
  test.each([
    ['no-such-image', 'its image is gone'],
    ['no-such-network', 'its network is gone'],
    ['no-such-workload', 'its container is gone'],
    ['refused', 'its container could not be started; the log says why'],
    ['unreachable', 'the container engine does not answer'],
  ] as const)('because of %s is told at once, in words that betray nothing', async (failStart, reason) => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', failStart }))
    const wake = noting(town.waker.wake('web'))
    await town.settle()
    expect(wake.how).toBe(`WAKE_FAILED: web: ${reason}`)
    expect(town.waker.state('web')).toMatchObject({
      phase: 'failed',
      failure: { service: 'web', reason, retryAt: town.clock.now() + 1000 },
      steps: [{ service: 'web', what: 'failed' }],
    })
    expect(town.events).toEqual([{ what: 'wake-failed', group: 'web', code: 'WAKE_FAILED', ms: 0 }])
  })

  test('because the app ends is told within two seconds, with its exit code', async () => {
    const town = await townOf((engine) =>
      engine.add('web', web, { state: 'stopped', bootMs: 9000, exitsAfterMs: 4300, exitCode: 137 }),
    )
    const wake = noting(town.waker.wake('web'))
    await town.advance(4250)
    expect(wake.how).toBe('waiting')
    await town.advance(1950)
    expect(wake.how).toBe('WAKE_FAILED: web: its container ended with code 137 after 4.3 s')
  })

  test('because the app ends before any fact told that it ran is told too', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', exitsAfterMs: 0, exitCode: 2 }))
    const wake = noting(town.waker.wake('web'))
    await town.advance(1000)
    expect(wake.how).toBe('WAKE_FAILED: web: its container ended with code 2 after 0.0 s')
    expect(told(town)).toEqual(['start web'])
  })

  test('because the app stays unhealthy is told within two seconds', async () => {
    const town = await townOf((engine) =>
      engine.add('web', web, { state: 'stopped', hasCheck: true, boots: 'unhealthy', bootMs: 1000 }),
    )
    const wake = noting(town.waker.wake('web'))
    await town.advance(950)
    expect(wake.how).toBe('waiting')
    await town.advance(2000)
    expect(wake.how).toBe('WAKE_FAILED: web: its container stays unhealthy')
    expect(told(town)).toEqual(['start web'])
  })

  test('is forgiven when the app recovers in time, or its engine starts it again', async () => {
    const town = await townOf((engine) => {
      engine.add(
        'sick',
        { ...web, host: 'a.test' },
        { state: 'stopped', hasCheck: true, boots: 'unhealthy', bootMs: 100 },
      )
      engine.add(
        'shaky',
        { ...web, host: 'b.test' },
        { state: 'stopped', restarts: true, bootMs: 300, exitsAfterMs: 200, exitCode: 1 },
      )
    })
    const [sick, shaky] = [noting(town.waker.wake('sick')), noting(town.waker.wake('shaky'))]
    await town.advance(250)
    town.engine.get('shaky').behaviour.exitsAfterMs = undefined
    await town.advance(300)
    town.engine.get('sick').behaviour.boots = 'well'
    town.engine.stop('sick')
    town.engine.start('sick')
    await town.advance(1000)
    expect([sick.how, shaky.how]).toEqual(['ready', 'ready'])
    expect(told(town)).toEqual(['start sick', 'start shaky'])
  })

  test('an app that its engine starts again and again is not waited for for ever', async () => {
    const town = await townOf((engine) =>
      engine.add('web', web, { state: 'stopped', restarts: true, bootMs: 300, exitsAfterMs: 200, exitCode: 1 }),
    )
    const wake = noting(town.waker.wake('web'))
    await town.advance(2000)
    expect(wake.how).toBe('WAKE_FAILED: web: its container ends again and again')
    expect(town.waker.state('web')).toMatchObject({ phase: 'failed', crashing: { service: 'web' } })
  })

  test('because of time ends the start, and whoever waits is told', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', boots: 'never' }), {
      wakeTimeoutMs: 5000,
    })
    const wake = noting(town.waker.wake('web'))
    await town.advance(4900)
    expect(wake.how).toBe('waiting')
    await town.advance(200)
    expect(wake.how).toBe('WAKE_TIMEOUT: web was not ready within 5 s')
    expect(town.waker.state('web')).toMatchObject({ phase: 'failed', failure: { reason: 'it was not ready in time' } })
  })

  test('matters to nobody when everything that answers requests is there', async () => {
    const town = await townOf((engine) => {
      engine.add('web', { ...web, stack: 's' }, { state: 'stopped', bootMs: 100 })
      engine.add(
        'worker',
        { port: 'none', wake: 'true', stack: 's' },
        { state: 'stopped', exitsAfterMs: 1000, exitCode: 1 },
      )
    })
    const wake = noting(town.waker.wake('s'))
    await town.advance(3000)
    expect(wake.how).toBe('ready')
    expect(town.waker.state('s')?.phase).toBe('awake')
  })

  test('what serves nobody may end well', async () => {
    const town = await townOf((engine) => {
      engine.add('web', { ...web, stack: 's' }, { state: 'stopped', bootMs: 500 })
      engine.add('seed', { port: 'none', wake: 'true', stack: 's' }, { state: 'stopped', exitsAfterMs: 100 })
    })
    const wake = noting(town.waker.wake('s'))
    await town.advance(800)
    expect(wake.how).toBe('ready')
  })
})

describe('the breaker', () => {
  test('lets a start that failed be tried again after 1 s, then after twice as long each time, up to 5 min', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', failStart: 'refused' }))
    const delays: number[] = []
    for (let tries = 0; tries < 11; tries++) {
      await expect(town.waker.wake('web')).rejects.toMatchObject({ code: 'WAKE_FAILED' })
      const retryAt = town.waker.state('web')?.failure?.retryAt ?? 0
      delays.push((retryAt - town.clock.now()) / 1000)
      await town.clock.pass(retryAt - town.clock.now() - 1)
      const calls = town.engine.asked.length
      await expect(town.waker.wake('web')).rejects.toMatchObject({
        message: expect.stringContaining('could not be started'),
      })
      expect(town.engine.asked).toHaveLength(calls)
      await town.clock.pass(1)
    }
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
  })

  test('takes a failure that a hundred were waiting for as one', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', failStart: 'refused' }))
    const wakes = Array.from({ length: 100 }, () => noting(town.waker.wake('web')))
    await town.settle()
    expect(new Set(wakes.map(({ how }) => how)).size).toBe(1)
    expect(told(town)).toEqual(['start web'])
    expect(town.waker.state('web')?.failure?.retryAt).toBe(town.clock.now() + 1000)
    expect(town.events).toHaveLength(1)
  })

  test('is reset by a success', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', failStart: 'refused' }))
    const behaviour = town.engine.get('web').behaviour
    const fail = async () => {
      behaviour.failStart = 'refused'
      await town.waker.wake('web').catch(() => undefined)
      return (town.waker.state('web')?.failure?.retryAt ?? 0) - town.clock.now()
    }
    await fail()
    await town.clock.pass(1000)
    expect(await fail()).toBe(2000)
    await town.clock.pass(2000)
    behaviour.failStart = undefined
    const wake = noting(town.waker.wake('web'))
    await town.advance(15_000, 500)
    expect(wake.how).toBe('ready')
    expect(town.waker.state('web')?.failure).toBeUndefined()
    town.engine.stop('web')
    await town.settle()
    expect(await fail()).toBe(1000)
  })

  test('is reset when somebody else starts it, also for those that need it', async () => {
    const town = await townOf((engine) => {
      engine.add('db', service('db', '', { group: 'data' }), { state: 'stopped', failStart: 'refused' })
      engine.add('web', service('web', 'db:service_started:true', { group: 'front', port: '80' }), { state: 'stopped' })
    })
    await town.waker.wake('front').catch(() => undefined)
    await expect(town.waker.wake('front')).rejects.toMatchObject({ code: 'WAKE_FAILED' })
    town.engine.start('db')
    await town.settle()
    const wake = noting(town.waker.wake('front'))
    await town.advance(200)
    expect(wake.how).toBe('ready')
  })
})

describe('apps that end', () => {
  test('by themselves after they have served are asleep, and the next request wakes them at once', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', exitsAfterMs: 15_000 }))
    for (let round = 0; round < 5; round++) {
      const wake = noting(town.waker.wake('web'))
      await town.advance(200)
      expect(wake.how).toBe('ready')
      await town.advance(16_000, 500)
      expect(town.waker.state('web')).toMatchObject({ phase: 'asleep' })
      expect(town.waker.state('web')?.crashing).toBeUndefined()
    }
  })

  test('within seconds of being ready, again and again, are shown as crashing and not started in a tight loop', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', exitsAfterMs: 3000, exitCode: 1 }))
    for (let round = 0; round < 3; round++) {
      expect(town.waker.state('web')?.crashing).toBeUndefined()
      const wake = noting(town.waker.wake('web'))
      await town.advance(200)
      expect(wake.how).toBe('ready')
      await town.advance(3000)
    }
    expect(town.waker.state('web')).toMatchObject({
      phase: 'failed',
      crashing: { service: 'web', times: 3 },
      failure: { reason: 'its container ends again and again' },
    })
    await expect(town.waker.wake('web')).rejects.toMatchObject({ code: 'WAKE_FAILED' })
    await town.advance(1000)
    const wake = noting(town.waker.wake('web'))
    await town.advance(3500)
    expect(wake.how).toBe('ready')
    expect((town.waker.state('web')?.failure?.retryAt ?? 0) - town.clock.now()).toBeGreaterThan(1000)
  })

  test('because somebody stopped them have not crashed', async () => {
    const town = await townOf((engine) => engine.add('web', web, { stopMs: 10 }))
    for (let round = 0; round < 4; round++) {
      town.engine.stop('web')
      await town.advance(100)
      town.engine.start('web')
      await town.advance(100)
    }
    expect(town.waker.state('web')).toMatchObject({ phase: 'awake' })
    expect(town.waker.state('web')?.crashing).toBeUndefined()
  })

  test('and stay for a while afterwards are crashing no more', async () => {
    const town = await townOf((engine) => engine.add('web', web, { restarts: true }))
    for (let round = 0; round < 4; round++) {
      town.engine.crash('web')
      await town.advance(300)
    }
    expect(town.waker.state('web')?.crashing).toEqual({ service: 'web', times: 4 })
    await town.advance(10_000, 500)
    expect(town.waker.state('web')?.crashing).toBeUndefined()
    expect(town.waker.state('web')?.phase).toBe('awake')
  })
})

describe('those who follow a group', () => {
  test('are told every change of its state until they end', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', startMs: 100, bootMs: 500 }))
    const told: GroupState[] = []
    const end = town.waker.follow('web', (state) => told.push(state))
    const wake = town.waker.wake('web')
    await town.advance(700)
    await wake
    expect(told.map(({ phase, steps }) => `${phase} ${steps.map(({ what }) => what).join()}`)).toEqual([
      'waking starting',
      'waking probing',
      'awake ready',
    ])
    end()
    town.engine.stop('web')
    await town.settle()
    expect(told).toHaveLength(3)
    expect(town.waker.state('web')).toMatchObject({ phase: 'asleep', since: town.clock.now() })
  })

  test('learn of what others do, and since when', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    const told: string[] = []
    town.waker.follow('web', ({ phase, since }) => told.push(`${phase} ${since - 1_000_000}`))
    await town.advance(1000)
    town.engine.crash('web')
    await town.settle()
    await town.advance(1000)
    expect(told).toEqual(['asleep 1000'])
  })
})

test('stopping ends every start, and whoever waits is told', async () => {
  const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', boots: 'never' }))
  const wake = noting(town.waker.wake('web'))
  await town.advance(100)
  await town.waker.stop()
  expect(wake.how).toBe('STOPPING: Hostler is being stopped')
  await expect(town.waker.wake('web')).rejects.toMatchObject({ code: 'STOPPING' })
})

describe('a container that a cookie names', () => {
  const direct = { ...rules.direct, cookieRouting: true, patienceMs: 10_000 }
  const spawned = (boots: 'well' | 'never', more: object = {}) =>
    townOf((engine) => engine.add('minion', { port: '80', origin: 'spawner' }, { state: 'stopped', boots, ...more }), {
      rules: { ...rules, direct },
    })

  test('is stopped again when it does not get ready in its time, and whoever waited is told before that is done', async () => {
    const town = await spawned('never', { stopMs: 3000 })
    const wake = noting(town.waker.wake('minion'))
    await town.advance(9900)
    expect([wake.how, told(town)]).toEqual(['waiting', ['start minion']])
    await town.advance(200)
    expect(wake.how).toMatch(/^WAKE_TIMEOUT: .*within 10 s/)
    await town.advance(100)
    expect(told(town)).toEqual(['start minion', 'stop minion'])
    await town.advance(4000)
    expect(town.engine.get('minion').state).toBe('stopped')
  })

  test('is started anew by whoever comes next, once it has ended', async () => {
    const town = await spawned('never', { stopMs: 3000 })
    const first = noting(town.waker.wake('minion'))
    await town.advance(11_500)
    expect(first.how).toMatch(/^WAKE_TIMEOUT/)
    const second = noting(town.waker.wake('minion'))
    await town.advance(500)
    expect(told(town)).toEqual(['start minion', 'stop minion'])
    await town.advance(3000)
    expect([second.how, told(town)]).toEqual(['waiting', ['start minion', 'stop minion', 'start minion']])
  })

  test('runs on when somebody else has started it', async () => {
    const town = await spawned('never')
    town.engine.start('minion')
    await town.settle()
    const wake = noting(town.waker.wake('minion'))
    await town.advance(11_000)
    expect(wake.how).toMatch(/^WAKE_TIMEOUT/)
    expect(told(town)).toEqual([])
  })

  test('is no other one: a stack that is late runs on', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', boots: 'never' }), {
      wakeTimeoutMs: 10_000,
    })
    const wake = noting(town.waker.wake('web'))
    await town.advance(12_000)
    expect(wake.how).toMatch(/^WAKE_TIMEOUT/)
    expect(told(town)).toEqual(['start web'])
  })
})
