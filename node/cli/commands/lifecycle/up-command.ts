/**
 * `parley up`: a node that stays up, with agents in worker threads if they are named.
 *
 * State: the node, its agents, and whether a signal came. stdout gets what starts with the node and nothing after it: one
 * block for people, or one line of JSON. SIGHUP has it read its configuration again (reload-on-hangup.ts). The first SIGINT or SIGTERM stops in order: not ready any more, goodbye, requests
 * in work end (at most --drain milliseconds), agents, node; exit 0. The second ends the process at once.
 */
import { join } from 'node:path'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import type { AnyPart } from '../../../../protocols/part.ts'
import { type RunningAgent, startAgent } from '../../../agent/start-agent.ts'
import type { Mesh } from '../../../api.ts'
import { createMesh } from '../../../mesh.ts'
import type { LoadedConfig } from '../../../options/config/load-config.ts'
import { isPermanentRefusal } from '../../../trust/refusals.ts'
import { DATA_ROOT } from '../../connect/running-nodes.ts'
import { keepProcessAlive, listenForStopSignals } from '../../input/signals.ts'
import { reportError, TYPED_COMMAND, usageError } from '../../output/exit-codes.ts'
import { loadParts } from '../../start/load-parts.ts'
import { createHangupReload, digestsOf } from '../../start/reload-on-hangup.ts'
import { DEFAULT_NAME, isExplicit, loadUpConfiguration, type UpOptions } from '../../start/up-configuration.ts'

/** Nodes without a name that one folder has room for: node, node-2, node-3 … */
const MAX_UNNAMED = 32

const isHeld = (error: unknown): boolean => isParleyError(error, 'STA003') && typeof error.details.pid === 'number'

/** Without a name, the first one of this folder that no running node has: its identity is kept from run to run. */
const start = async (config: LoadedConfig, parts: AnyPart[]): Promise<{ mesh: Mesh; dataDir: string }> => {
  const input = { ...config.input, parts }
  const { name = DEFAULT_NAME } = input
  if (isExplicit(config, 'name') || isExplicit(config, 'data_dir')) {
    const dataDir =
      isExplicit(config, 'data_dir') && input.dataDir !== undefined ? input.dataDir : join(DATA_ROOT, name)
    return { mesh: await createMesh({ ...input, dataDir }), dataDir }
  }
  for (let at = 1; at <= MAX_UNNAMED; at += 1) {
    const unnamed = at === 1 ? DEFAULT_NAME : `${DEFAULT_NAME}-${at}`
    const dataDir = join(DATA_ROOT, unnamed)
    try {
      return { mesh: await createMesh({ ...input, name: unnamed, dataDir }), dataDir }
    } catch (error) {
      if (!isHeld(error)) throw error
    }
  }
  throw usageError(`${MAX_UNNAMED} nodes without a name run in this folder already`, 'give this one a name with --name')
}

const block = (mesh: Mesh, { input, file }: LoadedConfig): string => {
  const { id, name, addresses } = mesh.self
  const served = mesh.directory.get(id)?.record.protocols ?? []
  const isLocal = input.discovery?.local === true && input.secret !== undefined
  const sources = [
    ...(input.join ?? []),
    ...(input.discovery?.mdns === true ? ['whom multicast DNS finds'] : []),
    ...(isLocal ? ['nodes of this machine with the same secret'] : []),
  ]
  const rows: [string, string][] = [
    ['id', id],
    ...(file === undefined ? [] : [['config', file] satisfies [string, string]]),
    ...addresses.map((address, at): [string, string] => [at === 0 ? 'listens on' : '', address]),
    ['debug', mesh.debugUrl ?? 'off'],
    ...(mesh.healthUrl === undefined ? [] : [['health', mesh.healthUrl] satisfies [string, string]]),
    ...served.map((one, at): [string, string] => [at === 0 ? 'serves' : '', `${one.name} ${one.version}`]),
    ['joins', sources.join(', ') || 'nobody; others join it with --join and an address above'],
    ['stop', `Ctrl-C, or ${TYPED_COMMAND} stop ${name}`],
  ]
  return `${name} is up in the mesh ${mesh.self.mesh}\n${rows.map(([what, is]) => `  ${what.padEnd(11)}${is}`).join('\n')}\n`
}

const line = ({ self: { id, name, addresses }, debugUrl, healthUrl }: Mesh): string =>
  `${JSON.stringify({ id, name, addresses, debugUrl, healthUrl, pid: process.pid })}\n`

const ended = (error: ParleyError): ParleyError =>
  new ParleyError(error.code, `nobody lets this node in, and asking again would not help: ${error.message}`, {
    ...(error.hint !== undefined && { hint: error.hint }),
    details: error.details,
    cause: error,
  })

/**
 * What may pass (clocks, a member that is busy) is printed once, and the supervisor tries all addresses again and again.
 * @throws SEC001 where every member that it joins by refuses it for good
 */
const followJoining = async (mesh: Mesh, signal: AbortSignal): Promise<void> => {
  try {
    await mesh.joined({ signal })
  } catch (error) {
    if (signal.aborted) return
    if (isPermanentRefusal(error)) throw ended(error)
    reportError(error)
    process.stderr.write('this node stays up and goes on trying\n')
    const joining = mesh.onMember(({ name }) => {
      void joining.stop()
      process.stderr.write(`joined the mesh: connected to ${name}\n`)
    })
  }
}

/** An agent is idle when its node was drained; what it then takes is not worth waiting for. */
const AGENT_STOP = { drainMs: 500, stopMs: 500 }

export const up = async (options: UpOptions): Promise<void> => {
  const letGo = keepProcessAlive()
  const { asked: stop, ask } = listenForStopSignals()
  const hangups = createHangupReload(ask)
  const leaving = new AbortController()
  const agents: RunningAgent[] = []
  const config = await loadUpConfiguration(options)
  for (const notice of config.notices) process.stderr.write(`note: ${notice}\n`)
  const { mesh, dataDir } = await start(config, await loadParts(config.parts))
  mesh.onStopRequest(ask)
  try {
    const starting = mesh.notReady('its agents are starting')
    const { serve, parts } = config
    const started = { serve, parts, dataDir, digests: await digestsOf([...serve, ...parts]) }
    for (const file of serve) agents.push(startAgent(mesh, file, AGENT_STOP))
    const ready = Promise.all(agents.map((agent) => agent.ready)).then(() => true)
    if (!(await Promise.race([ready, stop.then(() => false)]))) return
    await starting.stop()
    process.stdout.write(options.json === true ? line(mesh) : block(mesh, config))
    hangups.follow(mesh, options, started)
    const refused = followJoining(mesh, leaving.signal).then(() => stop)
    // A node whose agent was given up is of no use; whatever started it may start it again.
    await Promise.race([stop, refused, ...agents.map((agent) => agent.exited.then(() => stop))])
  } finally {
    hangups.stop()
    leaving.abort(new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one' }))
    // Agents go on while their node lets requests end, and may still call others.
    await mesh.drain()
    await Promise.all(agents.map((agent) => agent.stop()))
    await mesh.stop()
    letGo()
  }
}
