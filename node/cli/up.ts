/**
 * `parley up`: a node that stays up, with agents in worker threads if they are named.
 *
 * State: the node, its agents, and whether a signal came. stdout gets what starts with the node and nothing after it: one
 * block for people, or one line of JSON. The first SIGINT or SIGTERM stops in order: not ready any more, goodbye, requests
 * in work end (at most --drain milliseconds), agents, node; exit 0. The second ends the process at once.
 */
import { join } from 'node:path'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { type RunningAgent, startAgent } from '../agent/start.ts'
import type { Mesh } from '../api.ts'
import { createMesh } from '../mesh.ts'
import type { MeshOptionsInput } from '../options.ts'
import { EXIT, report, usage } from './outcome.ts'
import { DATA_ROOT } from './running.ts'
import { labelsOf, secretOf } from './values.ts'

export interface UpOptions {
  name?: string
  mesh?: string
  listen?: string[]
  join?: string[]
  secretFile?: string[]
  allowWeakSecret?: boolean
  dataDir?: string
  /** False for --no-debug. */
  debug: boolean
  debugPort: number
  debugHost: string
  drain: number
  preset?: NonNullable<MeshOptionsInput['preset']>
  label?: string[]
  serve?: string[]
  stuckAfter?: number
  expect?: number
  voter?: 'auto' | 'never'
  log?: Exclude<NonNullable<MeshOptionsInput['log']>, object>
  json?: boolean
}

const DEFAULT_NAME = 'node'
/** Nodes without a name that one folder has room for: node, node-2, node-3 … */
const MAX_UNNAMED = 32

const meshOptions = async (options: UpOptions): Promise<MeshOptionsInput> => {
  const { mesh, listen, join: addresses, allowWeakSecret, preset, log, stuckAfter, expect, voter } = options
  const secret = await secretOf(options.secretFile)
  return {
    debug: options.debug ? { port: options.debugPort, host: options.debugHost } : false,
    timings: { drainMs: options.drain, ...(stuckAfter !== undefined && { stuckAfterMs: stuckAfter }) },
    labels: labelsOf(options.label ?? []),
    coordination: { ...(expect !== undefined && { expect }), ...(voter !== undefined && { voter }) },
    ...(secret === undefined ? {} : { secret }),
    ...(mesh === undefined ? {} : { mesh }),
    ...(listen === undefined ? {} : { listen }),
    ...(addresses === undefined ? {} : { join: addresses }),
    ...(allowWeakSecret === undefined ? {} : { allowWeakSecret }),
    ...(preset === undefined ? {} : { preset }),
    ...(log === undefined ? {} : { log }),
  }
}

const isHeld = (error: unknown): boolean => isParleyError(error, 'STA003') && typeof error.details.pid === 'number'

/** Without a name, the first one of this folder that no running node has: its identity is kept from run to run. */
const start = async (options: UpOptions): Promise<Mesh> => {
  const given = await meshOptions(options)
  if (options.name !== undefined || options.dataDir !== undefined) {
    const name = options.name ?? DEFAULT_NAME
    // What cannot be a name must not become a path first: createMesh says what is wrong with it.
    const dataDir =
      options.dataDir ?? (/^[A-Za-z0-9]/.test(name) && !/[/\\]/.test(name) ? join(DATA_ROOT, name) : undefined)
    return createMesh({ ...given, name, ...(dataDir === undefined ? {} : { dataDir }) })
  }
  for (let at = 1; at <= MAX_UNNAMED; at += 1) {
    const name = at === 1 ? DEFAULT_NAME : `${DEFAULT_NAME}-${at}`
    try {
      return await createMesh({ ...given, name, dataDir: join(DATA_ROOT, name) })
    } catch (error) {
      if (!isHeld(error)) throw error
    }
  }
  throw usage(`${MAX_UNNAMED} nodes without a name run in this folder already`, 'give this one a name with --name')
}

const block = (mesh: Mesh, options: UpOptions): string => {
  const { id, name, addresses } = mesh.self
  const served = mesh.directory.get(id)?.record.protocols ?? []
  const rows: [string, string][] = [
    ['id', id],
    ...addresses.map((address, at): [string, string] => [at === 0 ? 'listens on' : '', address]),
    ['debug', mesh.debugUrl ?? 'off'],
    ...served.map((one, at): [string, string] => [at === 0 ? 'serves' : '', `${one.name} ${one.version}`]),
    ['joins', options.join?.join(', ') ?? 'nobody; others join it with --join and an address above'],
    ['stop', 'Ctrl-C'],
  ]
  return `${name} is up in the mesh ${mesh.self.mesh}\n${rows.map(([what, is]) => `  ${what.padEnd(11)}${is}`).join('\n')}\n`
}

const line = ({ self: { id, name, addresses }, debugUrl }: Mesh): string =>
  `${JSON.stringify({ id, name, addresses, debugUrl, pid: process.pid })}\n`

/** Says once that it was refused, and goes on: the supervisor tries all addresses again and again. */
const followJoining = async (mesh: Mesh, signal: AbortSignal): Promise<void> => {
  try {
    await mesh.joined({ signal })
  } catch (error) {
    if (signal.aborted) return
    report(error)
    process.stderr.write('this node stays up and goes on trying\n')
    const stop = mesh.onMember(({ name }) => {
      stop()
      process.stderr.write(`joined the mesh: connected to ${name}\n`)
    })
  }
}

/** An agent is idle when its node was drained; what it then takes is not worth waiting for. */
const AGENT_STOP = { drainMs: 500, stopMs: 500 }

const keepAlive = (): (() => void) => {
  const timer = setInterval(() => {}, 2 ** 30)
  return () => clearInterval(timer)
}

/** @returns a promise that resolves at the first signal */
const signalled = (): Promise<void> =>
  new Promise((resolve) => {
    let count = 0
    const onSignal = (): void => {
      count += 1
      if (count > 1) process.exit(EXIT.failure)
      process.stderr.write('stopping; a second signal ends it at once\n')
      resolve()
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })

export const up = async (options: UpOptions): Promise<void> => {
  const letGo = keepAlive()
  const stop = signalled()
  const leaving = new AbortController()
  const agents: RunningAgent[] = []
  const mesh = await start(options)
  try {
    const release = mesh.notReady('its agents are starting')
    for (const file of options.serve ?? []) agents.push(startAgent(mesh, file, AGENT_STOP))
    const ready = Promise.all(agents.map((agent) => agent.ready)).then(() => true)
    if (!(await Promise.race([ready, stop.then(() => false)]))) return
    release()
    process.stdout.write(options.json === true ? line(mesh) : block(mesh, options))
    void followJoining(mesh, leaving.signal)
    // A node whose agent was given up is of no use; whatever started it may start it again.
    await Promise.race([stop, ...agents.map((agent) => agent.exited.then(() => stop))])
  } finally {
    leaving.abort(new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one' }))
    // Agents go on while their node lets requests end, and may still call others.
    await mesh.drain()
    await Promise.all(agents.map((agent) => agent.stop()))
    await mesh.stop()
    letGo()
  }
}
