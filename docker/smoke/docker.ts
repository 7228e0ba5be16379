/**
 * The engine's command line: one function for each thing that the smoke test asks of it. Keeps no state.
 */
import { execFile } from 'node:child_process'

const LIMIT_MS = 90_000

/** What a command printed. @throws with what it said, when it fails or takes too long */
const run = (command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      { timeout: LIMIT_MS, maxBuffer: 64 * 2 ** 20, env: { ...process.env, ...env } },
      (error, stdout, stderr) =>
        error === null
          ? resolve(stdout.trim())
          : reject(new Error(`${command} ${args.slice(0, 3).join(' ')} failed: ${stderr.trim() || error.message}`)),
    )
  })

export const docker = (...args: string[]): Promise<string> => run('docker', args)

export interface Container {
  /** Of 12 characters: the host name that it sees as its own. */
  readonly id: string
  /** Of the compose file. */
  readonly service: string
}

export interface Composition {
  compose(...args: string[]): Promise<string>
  /** All of a service, or of all services, running or not. */
  containers(service?: string): Promise<Container[]>
}

export interface CompositionSettings {
  /** `docker compose` or `docker-compose` */
  readonly command: string
  readonly file: string
  readonly project: string
  readonly env: Record<string, string>
}

export const composition = ({ command, file, project, env }: CompositionSettings): Composition => {
  const [program = '', ...first] = command.split(' ')
  return {
    compose: (...args) => run(program, [...first, '-p', project, '-f', file, ...args], env),
    containers: async (service) => {
      const format = '{{.ID}} {{.Label "com.docker.compose.service"}}'
      const label = `label=com.docker.compose.project=${project}`
      const text = await docker('ps', '--all', '--filter', label, '--format', format)
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [id = '', name = ''] = line.split(' ')
          return { id, service: name }
        })
        .filter((container) => service === undefined || container.service === service)
    },
  }
}

/** Asks the debug endpoint of a node from inside its container: it listens on loopback there. */
export const ask = ({ id }: Container, path: string): Promise<string> =>
  docker('exec', id, 'node', '/app/ask.mjs', path)

/** Port of the health listener, as the image has it. */
const HEALTH_PORT = 8091
const PROBE_MS = 5_000

/** Asks the health listener of a node from outside of its container, as probes and scrapers do. */
export const probe = async ({ id }: Container, path: string): Promise<Response> => {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const address = await docker('inspect', '--format', format, id)
  if (address === '') throw new Error(`the container ${id} is in no network`)
  return fetch(`http://${address}:${HEALTH_PORT}${path}`, { signal: AbortSignal.timeout(PROBE_MS) })
}

export const isReady = (container: Container): Promise<boolean> =>
  probe(container, '/readyz').then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    () => false,
  )

/** The last of what a node said, on both of its streams. */
export const logsOf = ({ id }: Container): Promise<string> =>
  new Promise((resolve) => {
    execFile('docker', ['logs', '--tail', '10', id], (_error, stdout, stderr) => resolve(stdout + stderr))
  })

/** Stops by SIGTERM, as an orchestrator does. */
export const stop = async ({ id }: Container): Promise<{ exitCode: number; ms: number }> => {
  const startedAt = performance.now()
  await docker('stop', '--time', '10', id)
  const ms = performance.now() - startedAt
  return { exitCode: Number(await docker('inspect', '--format', '{{.State.ExitCode}}', id)), ms }
}
