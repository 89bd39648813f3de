import { describe, expect, test } from '@jest/globals'
import type { Town } from '../support/town.js'
import { createTowns, service, told, web } from '../support/towns.js'

const townOf = createTowns()

/** How a promise has ended by now. */
function noting(promise: Promise<unknown>): { how: unknown } {
  const seen: { how: unknown } = { how: 'waiting' }
  promise.then(
    (result) => (seen.how = result ?? 'done'),
    (error) => (seen.how = error.code),
  )
  return seen
}

const serversOf = (town: Town) => town.proxy.current?.backends.flatMap(({ servers }) => servers.map(({ name }) => name))

describe('going to sleep', () => {
  test('first the routes lead to the public port, then sessions end, then it is stopped, then facts rule again', async () => {
    const town = await townOf((engine) => engine.add('web', web, { stopMs: 5000 }))
    town.proxy.applyMs = 300
    town.sessions.set('web', 1)
    const sleep = noting(town.sleeper.sleep('web', 'asked'))
    await town.advance(250)
    expect([serversOf(town), town.engine.get('web').state]).toEqual([['web'], 'running'])
    await town.advance(100)
    expect(serversOf(town)).toEqual([])
    expect(town.proxy.current?.backends[0]?.held).toBe(true)
    await town.advance(5000)
    expect(told(town)).toEqual([])
    expect(town.waker.state('web')?.phase).toBe('falling-asleep')
    town.sessions.set('web', 0)
    await town.advance(1050)
    expect([told(town), sleep.how]).toEqual([['stop web'], 'waiting'])
    await town.advance(5000)
    expect(sleep.how).toBe('asleep')
    expect(town.waker.state('web')?.phase).toBe('asleep')
    expect(town.world.instances()?.[0]?.state).toBe('stopped')
    expect(town.events).toEqual([
      { what: 'slept', group: 'web', why: 'asked', result: 'asleep', ms: expect.any(Number) },
    ])
  })

  test.each([
    ['stop', 'stop web', 'stopped'],
    ['pause', 'pause web', 'paused'],
  ] as const)('does what the container wants: %s', async (how, call, state) => {
    const town = await townOf((engine) => engine.add('web', { ...web, 'on-idle': how }))
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(100)
    expect([sleep.how, told(town), town.engine.get('web').state]).toEqual(['asleep', [call], state])
    const wake = noting(town.waker.wake('web'))
    await town.advance(200)
    expect(wake.how).toBe('done')
  })

  test.each([
    [false, 'remove web'],
    [true, 'remove with volumes web'],
  ])('removes where it is wanted, with volumes only when asked (%s)', async (removeVolumes, call) => {
    const town = await townOf((engine) => engine.add('web', { ...web, 'on-idle': 'remove' }), { removeVolumes })
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(100)
    expect([sleep.how, told(town)]).toEqual(['asleep', [call]])
    expect(town.world.groups()?.byName.size).toBe(0)
  })

  test('each after what depends on it, what is independent at the same time', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'api:service_started:true', { port: '80' }), { stopMs: 1000 })
      engine.add('api', service('api', 'db:service_healthy:true'), { stopMs: 1000 })
      engine.add('db', service('db'))
      engine.add('cache', service('cache'))
    })
    const sleep = noting(town.sleeper.sleep('shop', 'idle'))
    await town.advance(100)
    expect(told(town).toSorted()).toEqual(['stop cache', 'stop web'])
    await town.advance(1000)
    expect(told(town).slice(2)).toEqual(['stop api'])
    await town.advance(2000)
    expect([told(town).slice(3), sleep.how]).toEqual([['stop db'], 'asleep'])
  })

  test('is one way however often it is asked for, and none for what is asleep', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    const sleeps = [noting(town.sleeper.sleep('web', 'idle')), noting(town.sleeper.sleep('web', 'asked'))]
    await town.advance(100)
    sleeps.push(noting(town.sleeper.sleep('web', 'idle')))
    await town.settle()
    expect([sleeps.map(({ how }) => how), told(town)]).toEqual([['asleep', 'asleep', 'asleep'], ['stop web']])
    await expect(town.sleeper.sleep('other', 'asked')).rejects.toMatchObject({ code: 'NO_SUCH_GROUP' })
  })

  test('leaves alone what may not be woken, and what that depends on', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'db:service_started:true', { port: '80' }))
      engine.add('tools', service('tools', 'db:service_started:true', { wake: 'false' }))
      engine.add('db', service('db', 'disk:service_started:true'))
      engine.add('disk', service('disk'))
    })
    const sleep = noting(town.sleeper.sleep('shop', 'idle'))
    await town.advance(100)
    expect([sleep.how, told(town)]).toEqual(['asleep', ['stop web']])
  })
})

describe('sessions', () => {
  test.each([
    ['asked', 'asleep', ['stop web']],
    ['idle', 'cancelled', []],
  ] as const)('that outlast the time for them, when it is %s: %s', async (why, result, calls) => {
    const town = await townOf((engine) => engine.add('web', web), { drainMs: 5000 })
    town.sessions.set('web', 1)
    const sleep = noting(town.sleeper.sleep('web', why))
    await town.advance(4900)
    expect(told(town)).toEqual([])
    await town.advance(300)
    expect([sleep.how, told(town)]).toEqual([result, calls])
    await town.settle()
    expect(serversOf(town)).toEqual(why === 'idle' ? ['web'] : [])
  })

  test('that cannot be counted are not taken for none', async () => {
    const town = await townOf((engine) => engine.add('web', web), { drainMs: 2000 })
    town.sessions.set('web', new Error('the stats socket is gone'))
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(2200)
    expect([sleep.how, told(town)]).toEqual(['refused', []])
    await town.settle()
    expect(serversOf(town)).toEqual(['web'])
  })
})

describe('a wake that comes meanwhile', () => {
  test('before the first stop calls it off: nothing is stopped, nothing started', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.sessions.set('web', 1)
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(1000)
    const wake = noting(town.waker.wake('web'))
    await town.settle()
    expect([sleep.how, wake.how, told(town)]).toEqual(['cancelled', 'done', []])
    expect(serversOf(town)).toEqual(['web'])
    expect(town.waker.state('web')).toMatchObject({ phase: 'awake' })
    expect(town.waker.state('web')?.lastWake).toBeUndefined()
  })

  test('while the routes are being turned calls it off too', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.proxy.applyMs = 500
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(100)
    const wake = noting(town.waker.wake('web'))
    await town.advance(2000)
    expect([sleep.how, wake.how, told(town), serversOf(town)]).toEqual(['cancelled', 'done', [], ['web']])
  })

  test('after the first stop waits for its end and starts again; what was not stopped yet stays', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'db:service_started:true', { port: '80' }), { stopMs: 3000 })
      engine.add('db', service('db'))
    })
    const sleep = noting(town.sleeper.sleep('shop', 'idle'))
    await town.advance(500)
    const wake = noting(town.waker.wake('shop'))
    expect(town.waker.state('shop')?.phase).toBe('waking')
    await town.advance(2400)
    expect([sleep.how, told(town)]).toEqual(['waiting', ['stop web']])
    await town.advance(500)
    expect([sleep.how, wake.how, told(town)]).toEqual(['cancelled', 'done', ['stop web', 'start web']])
  })

  test('does not save what is too old: it waits for its end, and there is nothing left to wake', async () => {
    const town = await townOf((engine) => engine.add('web', web, { stopMs: 1000 }))
    const sleep = noting(town.sleeper.remove('web', ['test web'], 'max-age'))
    await town.advance(500)
    const wake = noting(town.waker.wake('web'))
    await town.advance(1000)
    expect([sleep.how, wake.how, told(town)]).toEqual(['removed', 'NO_SUCH_GROUP', ['remove web']])
  })
})

describe('what may not be put to sleep', () => {
  test('is being woken', async () => {
    const town = await townOf((engine) => engine.add('web', web, { state: 'stopped', bootMs: 5000 }))
    const wake = noting(town.waker.wake('web'))
    await town.advance(1000)
    expect(await town.sleeper.sleep('web', 'asked')).toBe('refused')
    await town.advance(5000)
    expect([wake.how, told(town)]).toEqual(['done', ['start web']])
  })

  test('is needed by a group that is up; once all of those are asleep, it may', async () => {
    const town = await townOf((engine) => {
      engine.add('db', service('db', '', { group: 'data' }))
      engine.add('cache', service('cache', '', { group: 'data' }))
      for (const name of ['front', 'api'])
        engine.add(name, service(name, 'db:service_started:true', { group: name, port: '80', host: `${name}.test` }))
    })
    const sleep = async (group: string) => {
      const sleeping = noting(town.sleeper.sleep(group, 'idle'))
      await town.advance(100)
      return sleeping.how
    }
    expect(await sleep('data')).toBe('refused')
    expect(await sleep('front')).toBe('asleep')
    expect(await sleep('data')).toBe('refused')
    expect(await sleep('api')).toBe('asleep')
    expect(await sleep('data')).toBe('asleep')
    expect(told(town).slice(0, 2)).toEqual(['stop front', 'stop api'])
    expect(told(town).slice(2).sort()).toEqual(['stop cache', 'stop db'])
  })

  test('comes to be needed while it waits for its sessions', async () => {
    const town = await townOf((engine) => {
      engine.add('db', service('db', '', { group: 'data', port: '5432', host: 'db.test' }))
      engine.add('web', service('web', 'db:service_started:true', { group: 'front', port: '80' }), { state: 'stopped' })
    })
    town.sessions.set('db', 1)
    const sleep = noting(town.sleeper.sleep('data', 'idle'))
    await town.advance(300)
    town.engine.start('web')
    await town.settle()
    town.sessions.set('db', 0)
    await town.advance(1000)
    expect([sleep.how, told(town)]).toEqual(['cancelled', []])
  })

  test('is needed by a group that wakes meanwhile', async () => {
    const town = await townOf((engine) => {
      engine.add('db', service('db', '', { group: 'data' }), { stopMs: 2000 })
      engine.add('web', service('web', 'db:service_started:true', { group: 'front', port: '80' }), { state: 'stopped' })
    })
    const sleep = noting(town.sleeper.sleep('data', 'idle'))
    await town.advance(500)
    const wake = noting(town.waker.wake('front'))
    await town.advance(2000)
    expect([sleep.how, wake.how, told(town)]).toEqual(['cancelled', 'done', ['stop db', 'start db', 'start web']])
  })

  test('groups that need each other fall asleep one after the other', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'db:service_started:true', { group: 'front', port: '80' }))
      engine.add('db', service('db', '', { group: 'data' }))
      engine.add('exporter', service('exporter', 'web:service_started:true', { group: 'data' }))
    })
    for (const group of ['data', 'front', 'data']) {
      void town.sleeper.sleep(group, 'idle')
      await town.advance(100)
    }
    expect(told(town)).toEqual(['stop exporter', 'stop web', 'stop db'])
  })
})

describe('removing', () => {
  const stack = (engine: Town['engine']) => {
    engine.add('a', { ...web, stack: 's', service: 'web', wake: 'false' }, { stopMs: 1000 })
    engine.add('b', { ...web, stack: 's', service: 'web' })
    engine.add('other', { ...web, stack: 's', service: 'other', host: 'other.test' })
  }

  test('takes the named ones, whatever may be woken, and nobody else notices', async () => {
    const town = await townOf(stack)
    town.sessions.set('a', 1)
    town.sessions.set('b', 9)
    const removal = noting(town.sleeper.remove('s', ['test a', 'test nobody'], 'max-age'))
    await town.advance(500)
    expect([serversOf(town), told(town), town.waker.state('s')?.phase]).toEqual([['b', 'other'], [], 'awake'])
    await town.waker.wake('s')
    town.sessions.set('a', 0)
    await town.advance(3000)
    expect([removal.how, told(town)]).toEqual(['removed', ['remove a']])
    expect(town.events).toMatchObject([{ what: 'slept', why: 'max-age', result: 'removed' }])
  })

  test('does not wait longer than it may for those who have not finished, though it was idle', async () => {
    const town = await townOf(stack, { drainMs: 2000 })
    town.sessions.set('a', 1)
    const removal = noting(town.sleeper.remove('s', ['test a'], 'idle'))
    await town.advance(3500)
    expect([removal.how, told(town)]).toEqual(['removed', ['remove a']])
  })

  test('goes in order, and leaves what others depend on who stay', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'api:service_started:true', { port: '80' }), { stopMs: 500 })
      engine.add('api', service('api', 'db:service_started:true'))
      engine.add('tools', service('tools', 'db:service_started:true', { wake: 'false' }))
      engine.add('db', service('db'))
    })
    const removal = noting(town.sleeper.remove('shop', ['test db', 'test api', 'test web'], 'max-age'))
    await town.advance(1000)
    expect([removal.how, told(town)]).toEqual(['removed', ['remove web', 'remove api']])
    expect(await town.sleeper.remove('shop', ['test db'], 'max-age')).toBe('refused')
  })

  test('and falling asleep keep out of each other’s way', async () => {
    const town = await townOf(stack)
    town.sessions.set('a', 1)
    town.sessions.set('b', 1)
    const removal = noting(town.sleeper.remove('s', ['test a'], 'max-age'))
    expect(await town.sleeper.sleep('s', 'idle')).toBe('refused')
    town.sessions.set('a', 0)
    await town.advance(3000)
    expect(removal.how).toBe('removed')
    const sleep = noting(town.sleeper.sleep('s', 'idle'))
    expect(await town.sleeper.remove('s', ['test b'], 'max-age')).toBe('refused')
    town.sessions.set('b', 0)
    await town.advance(3000)
    expect(sleep.how).toBe('asleep')
  })
})

describe('trouble', () => {
  test('a container that cannot be stopped is routed again, and what it depends on stays', async () => {
    const town = await townOf((engine) => {
      engine.add('web', service('web', 'db:service_started:true', { port: '80' }), { failStop: 'refused' })
      engine.add('db', service('db'))
    })
    const sleep = noting(town.sleeper.sleep('shop', 'idle'))
    await town.advance(1500)
    expect([sleep.how, told(town), serversOf(town)]).toEqual(['refused', ['stop web'], ['web']])
    expect(town.waker.state('shop')?.phase).toBe('awake')
  })

  test('one of which nobody knows whether it is being stopped is routed again when it goes on running', async () => {
    const town = await townOf((engine) => engine.add('web', web, { failStop: 'unreachable' }))
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(29_000, 500)
    expect([sleep.how, serversOf(town)]).toEqual(['waiting', []])
    await town.advance(3000, 500)
    expect([sleep.how, serversOf(town)]).toEqual(['refused', ['web']])
  })

  test('a proxy that takes no plan keeps it awake: its old routes may still lead there', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.proxy.isBroken = true
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(61_000, 1000)
    expect([sleep.how, told(town)]).toEqual(['refused', []])
    town.proxy.isBroken = false
    await town.advance(2000, 1000)
    expect(serversOf(town)).toEqual(['web'])
  })

  test('facts that lag behind do not lead anybody to what has been stopped', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.engine.isTelling = false
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(60_000, 1000)
    expect([sleep.how, serversOf(town), town.engine.get('web').state]).toEqual(['waiting', [], 'stopped'])
    town.engine.isTelling = true
    await town.advance(100)
    expect(sleep.how).toBe('asleep')
  })

  test('one that somebody starts again before facts tell of its end is routed again', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.engine.isTelling = false
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(500)
    town.engine.start('web')
    await town.advance(2000)
    expect([sleep.how, serversOf(town)]).toEqual(['asleep', ['web']])
  })

  test('an engine that is gone for a while does not leave it withheld for ever', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    town.engine.isUnreachable = true
    const sleep = noting(town.sleeper.sleep('web', 'idle'))
    await town.advance(90_000, 1000)
    expect(sleep.how).toBe('waiting')
    town.engine.isUnreachable = false
    await town.advance(3000, 500)
    expect([sleep.how, serversOf(town)]).toEqual(['refused', ['web']])
  })

  test('one that nothing here can stop is left alone', async () => {
    const town = await townOf((engine) => engine.add('web', web))
    Object.assign(town.world, { runtime: () => undefined })
    expect(await town.sleeper.remove('web', ['test web'], 'max-age')).toBe('refused')
    expect([told(town), serversOf(town)]).toEqual([[], ['web']])
  })
})

test('stopping lets nothing more be stopped, and leaves nothing withheld', async () => {
  const town = await townOf((engine) => engine.add('web', web))
  town.sessions.set('web', 1)
  const sleep = noting(town.sleeper.sleep('web', 'asked'))
  await town.advance(500)
  await town.sleeper.stop()
  await town.settle()
  expect([sleep.how, told(town), serversOf(town)]).toEqual(['cancelled', [], ['web']])
  expect(await town.sleeper.sleep('web', 'asked')).toBe('refused')
})
