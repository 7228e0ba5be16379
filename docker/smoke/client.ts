/** The container that calls all the time (load.ts), as the smoke test sees it. State: the last line that it printed. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../../test/support/until.ts'
import { docker } from './docker.ts'
import type { Method, Tally } from './load.ts'

export interface Client {
  tally(): Tally
  /** Resolves when `count` more calls were answered, by any of these hosts where some are named. */
  answered(count: number, hosts?: readonly string[]): Promise<void>
  /** Stops it and gives what it counted in all. @throws where a call failed */
  end(): Promise<Tally>
}

export interface ClientSettings {
  /** Of the smoke test: its nodes' network and the containers of clients are named after it. */
  readonly project: string
  readonly method: Method
  readonly image: string
  readonly secretPath: string
}

export const startClient = async ({ project, method, image, secretPath }: ClientSettings): Promise<Client> => {
  const name = `${project}-${method}`
  const program = fileURLToPath(new URL('./load.ts', import.meta.url))
  const hardening = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true']
  const mounts = ['-v', `${program}:/app/smoke/load.ts:ro`, '-v', `${secretPath}:/run/secrets/mesh-secret:ro`]
  const secret = ['-e', 'PARLEY_SECRET_FILE=/run/secrets/mesh-secret']
  const where = ['--name', name, '--network', `${project}_mesh`, '--no-healthcheck', '--entrypoint', 'node']
  const settings = [...where, ...hardening, ...mounts, ...secret]
  await docker('run', '--detach', ...settings, image, '/app/smoke/load.ts', method)

  let last: Tally | undefined
  const following = spawn('docker', ['logs', '--follow', name], { stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface({ input: following.stdout }).on('line', (line) => {
    last = JSON.parse(line) as Tally
  })
  await until(`the client of ${method} calls`, () => (last?.calls ?? 0) > 0, 30_000, 100)

  const tally = (): Tally => {
    if (last === undefined) throw new Error('the client printed nothing')
    return last
  }
  const sum = (hosts: readonly string[] | undefined): number =>
    Object.entries(tally().answers)
      .filter(([host]) => hosts === undefined || hosts.includes(host))
      .reduce((all, [, count]) => all + count, 0)

  return {
    tally,
    answered: async (count, hosts) => {
      const before = sum(hosts)
      await until(`${count} calls are answered`, () => sum(hosts) >= before + count, 30_000, 100)
    },
    end: async () => {
      await docker('stop', '--time', '40', name)
      await until('the client tells its sum', () => tally().done, 5_000, 50)
      const { calls, failed, failures } = tally()
      if (failed > 0) throw new Error(`${failed} of ${calls} calls of ${method} failed: ${failures.join(' | ')}`)
      return tally()
    },
  }
}
