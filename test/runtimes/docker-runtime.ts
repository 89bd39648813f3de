import { silentLogger } from '../../src/lib/logger.js'
import { createDockerRuntimes, type DockerRuntimeContext } from '../../src/runtimes/docker.js'
import type { Runtime } from '../../src/runtimes/runtime.js'

/** The one runtime of one endpoint. */
export function dockerRuntime(host: string, context: Partial<DockerRuntimeContext> = {}): Runtime {
  const docker = {
    hosts: [host],
    tlsVerify: false,
    certPath: '',
    reach: 'auto',
    address: '',
    proxyContainer: '',
  } as const
  const [runtime] = createDockerRuntimes({ docker: { ...docker, hosts: [host] } }, { log: silentLogger(), ...context })
  if (!runtime) throw new Error('no runtime was made')
  return runtime
}
