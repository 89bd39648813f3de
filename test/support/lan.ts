import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync, rmSync } from 'node:fs'
import { claimSubnet, programPath } from './machine.js'
import { until } from './wait.js'

/**
 * A network of hosts on this one machine: a network namespace for each, on a bridge in another one. Nothing of it has a name that
 * lasts: the namespaces go with the processes in them, those with the test, and the cables with the namespaces.
 */
export interface Lan {
  /** This machine's own address there. */
  readonly address: string
  addHost(): Promise<LanHost>
  close(): Promise<void>
}

export interface LanHost {
  readonly address: string
  /** Put before a command, it runs on that host; it becomes that command, so that its process is the one to be signalled. */
  readonly within: readonly string[]
  /** Takes its cable out, and puts it in again. */
  plug(how: 'in' | 'out'): void
}

export async function createLan(): Promise<Lan> {
  const { folder, number } = claimSubnet()
  const addressOf = (host: number) => `10.${number}.0.${host}`
  const port = `hostler${number}`
  const namespaces: Namespace[] = []
  const add = async () => {
    const namespace = await startNamespace()
    namespaces.push(namespace)
    return namespace
  }
  const center = await add()
  center.ip('link add lan type bridge', 'link set lan up')
  ip(
    [],
    [
      ...[`link add ${port} type veth peer name uplink netns ${center.pid}`],
      ...[`addr add ${addressOf(1)}/24 dev ${port}`, `link set ${port} up`],
    ],
  )
  center.ip('link set uplink master lan up')

  return {
    address: addressOf(1),
    async addHost() {
      const host = await add()
      const at = namespaces.length
      const address = addressOf(at)
      center.ip(`link add port${at} type veth peer name eth0 netns ${host.pid}`, `link set port${at} master lan up`)
      host.ip('link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up')
      return {
        ...{ address, within: host.within },
        plug: (how) => center.ip(`link set port${at} ${how === 'in' ? 'up' : 'down'}`),
      }
    },
    async close() {
      for (const { end } of namespaces) await end()
      await until('its cable is gone', () => !execFileSync(programPath('ip'), ['-br', 'link']).includes(`${port}@`))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface Namespace {
  readonly pid: number
  readonly within: readonly string[]
  /** Runs commands of `ip` there. */
  ip(...commands: string[]): void
  end(): Promise<void>
}

/** It lasts as long as a process that does nothing, which must not outlive a test run that is killed. */
async function startNamespace(): Promise<Namespace> {
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity'], {
    stdio: 'ignore',
  })
  const pid = Number(child.pid)
  const file = `/proc/${pid}/ns/net`
  await until('it has a namespace of its own', () => readlinkSync(file) !== readlinkSync('/proc/self/ns/net'))
  const within = ['nsenter', `--net=${file}`]
  return {
    ...{ pid, within },
    ip: (...commands) => ip(within, commands),
    async end() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

function ip(within: readonly string[], commands: readonly string[]): void {
  const [program = '', ...args] = [...within, programPath('ip'), '-batch', '-']
  execFileSync(program, args, { input: commands.join('\n') })
}
