import { writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { createMasterSocket, parseReloadReply } from '../../../src/proxies/haproxy/master-socket.js'
import { parseProcesses, servingWorker } from '../../../src/proxies/haproxy/master-socket-processes.js'
import { tempDir } from '../../support/temp.js'

const signal = new AbortController().signal
const servers: { server: Server; sockets: Set<Socket> }[] = []

afterEach(async () => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** A stand-in for a master: what it does with each command, for faults that the real one cannot be made to produce. */
async function double(answer: (command: string, socket: Socket) => void): Promise<string> {
  const path = join(tempDir(), 'm.sock')
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    let text = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      text += String(chunk)
      if (text.endsWith('\n')) answer(text.trim(), socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  servers.push({ server, sockets })
  return path
}

const HEAD = '#<PID>          <type>          <reloads>       <uptime>        <version>      \n'
const proc = (reloads: number, failed: number, worker: number) =>
  `${HEAD}10              master          ${reloads} [failed: ${failed}]   0d00h00m38s     2.6.12-1+deb12u4\n# workers\n${worker}           worker          0               0d00h00m08s     2.6.12-1+deb12u4\n# programs\n\n`

describe('master socket against hostile answers', () => {
  test('a path where nothing is says what to look for', async () => {
    const socket = createMasterSocket(join(tempDir(), 'none'), { timeoutMs: 1000 })
    await expect(socket.command('show proc', signal)).rejects.toMatchObject({
      code: 'HAPROXY_SOCKET_UNREACHABLE',
      message: expect.stringContaining('-W -S'),
    })
  })

  test('a file that is no socket is told apart from none', async () => {
    const path = join(tempDir(), 'file')
    writeFileSync(path, '')
    await expect(createMasterSocket(path, { timeoutMs: 1000 }).processes(signal)).rejects.toMatchObject({
      code: 'HAPROXY_SOCKET_UNREACHABLE',
    })
  })

  test('silence ends at the time-out', async () => {
    const socket = createMasterSocket(await double(() => undefined), { timeoutMs: 5000, commandTimeoutMs: 50 })
    await expect(socket.command('show proc', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_TIMEOUT' })
  })

  test('an abort ends the wait with its own reason', async () => {
    const path = await double(() => undefined)
    const controller = new AbortController()
    const answer = createMasterSocket(path, { timeoutMs: 5000 }).command('show proc', controller.signal)
    controller.abort(new Error('enough'))
    await expect(answer).rejects.toThrow('enough')
  })

  test('an endless answer is dropped', async () => {
    const path = await double((_, socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write('x'.repeat(65_536)));
        socket.once('drain', more)
      }
      more()
    })
    const socket = createMasterSocket(path, { timeoutMs: 5000, maxReplyBytes: 100_000 })
    await expect(socket.command('show proc', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_TOO_LONG' })
  })

  test('a stats socket, garbage and nothing at all are no master', async () => {
    for (const text of ["Unknown command: 'show', but maybe one of the following ones\n", '\0\x01\xff', '']) {
      const socket = createMasterSocket(await double((_, client) => client.end(text)), { timeoutMs: 1000 })
      const code = text === '' ? 'HAPROXY_SOCKET_CLOSED' : 'HAPROXY_SOCKET_GARBAGE'
      await expect(socket.processes(signal)).rejects.toMatchObject({ code })
    }
  })

  test('one that executes itself anew for somebody else is waited for, before a reload of ours and to learn who serves', async () => {
    for (const busy of [(socket: Socket) => void socket.destroy(), (socket: Socket) => void socket.end()]) {
      let asked = 0
      let reloads = 0
      const path = await double((command, socket) => {
        asked += 1
        if (asked < 5) return busy(socket)
        if (command === 'reload') reloads += 1
        socket.end(command === 'reload' ? '' : proc(reloads, 0, 11 + reloads))
      })
      const socket = createMasterSocket(path, { timeoutMs: 5000 })
      expect(servingWorker(await socket.settled(signal))).toMatchObject({ pid: 11 })
      asked = 0
      expect(await socket.reload(signal)).toMatchObject({ ok: true, workerPid: 12 })
    }
  })

  test('a reload after which nothing changes is unverified, not done', async () => {
    const path = await double((command, socket) => socket.end(command === 'reload' ? '' : proc(0, 0, 11)))
    await expect(createMasterSocket(path, { timeoutMs: 200 }).reload(signal)).rejects.toMatchObject({
      code: 'HAPROXY_RELOAD_UNVERIFIED',
    })
  })

  test('connections that break during a reload are tried again until the outcome is known', async () => {
    let asked = 0
    let reloaded = 0
    const path = await double((command, socket) => {
      if (command === 'reload') {
        reloaded += 1
        return void socket.destroy()
      }
      asked += 1
      if (asked === 1) return void socket.end(proc(0, 0, 11))
      if (asked < 4) return void socket.destroy()
      socket.end(proc(1, 0, 12))
    })
    const result = await createMasterSocket(path, { timeoutMs: 5000 }).reload(signal)
    expect(result).toMatchObject({ ok: true, workerPid: 12 })
    expect(reloaded).toBe(1)
  })

  test('a reload that is refused because another one runs is asked for again', async () => {
    let reloaded = 0
    const path = await double((command, socket) => {
      if (command !== 'reload') return void socket.end(proc(reloaded, 0, 11 + reloaded))
      reloaded += 1
      socket.end(reloaded < 3 ? 'Success=0\n--\nAnother reload is still in progress.\n\n' : 'Success=1\n--\nfine\n')
    })
    const result = await createMasterSocket(path, { timeoutMs: 5000 }).reload(signal)
    expect(result).toMatchObject({ ok: true, log: 'fine' })
    expect(reloaded).toBe(3)
  })

  test('the worker that serves gets a command by its pid', async () => {
    const path = await double((command, socket) => socket.end(command === 'show proc' ? proc(0, 0, 11) : command))
    expect(await createMasterSocket(path, { timeoutMs: 1000 }).workerCommand('show info', signal)).toBe(
      '@!11 show info',
    )
  })
})

describe('show proc', () => {
  test('of 2.6 with old workers and programs', () => {
    const text = `${HEAD}8823            master          5 [failed: 2]   1d02h03m04s     2.6.12-1+deb12u4\n# workers\n8826            worker          2               0d00h00m38s     2.6.12-1+deb12u4\n# old workers\n8824            worker          4               0d00h00m40s     2.6.12-1+deb12u4\n8825            worker          3               0d00h00m39s     2.6.12-1+deb12u4\n# programs\n9000            api             0               0d00h00m39s     -\n\n`
    const processes = parseProcesses(text)
    expect(processes).toEqual({
      master: { pid: 8823, reloads: 5, failed: 2, uptimeSeconds: 93_784, version: '2.6.12-1+deb12u4' },
      workers: [{ pid: 8826, reloads: 2, failed: 0, uptimeSeconds: 38, version: '2.6.12-1+deb12u4' }],
      oldWorkers: [expect.objectContaining({ pid: 8824 }), expect.objectContaining({ pid: 8825 })],
    })
  })

  test('of 3.2 after a failed reload: the serving worker is the youngest of the old ones', () => {
    const text = `${HEAD}20983           master          1 [failed: 1]   0d00h00m00s     3.2.26-1       \n# workers\n# old workers\n20970           worker          7               0d00h01m00s     3.2.26-1       \n20985           worker          1               0d00h00m00s     3.2.26-1       \n\n`
    const processes = parseProcesses(text)
    expect(processes?.workers).toEqual([])
    expect(processes && servingWorker(processes)?.pid).toBe(20_985)
  })

  test('anything else is nothing', () => {
    expect(parseProcesses('Permission denied\n')).toBeUndefined()
  })
})

test('the reply to a reload holds the verdict and the log', () => {
  expect(parseReloadReply('Success=1\n--\n[NOTICE] fine\n\n')).toEqual({ ok: true, log: '[NOTICE] fine' })
  expect(parseReloadReply('Success=0\n')).toEqual({ ok: false, log: '' })
  expect(parseReloadReply('')).toBeUndefined()
})
