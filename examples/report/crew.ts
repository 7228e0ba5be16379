/**
 * The crew: five agent processes, kept alive while the job runs.
 *
 * State: the processes. One that dies is started again under its name (at most MAX_RESTARTS times each), so that a skill
 * is never gone for long; all end with the crew.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AGENTS, type AgentName } from './settings.ts'

const PROGRAM = fileURLToPath(new URL('./agent-process.ts', import.meta.url))
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/parley', import.meta.url))
const MAX_RESTARTS = 5
const RESTART_DELAY_MS = 300
const FAREWELL_MS = 5_000

export interface Crew {
  pids(): Record<AgentName, number | undefined>
  restarts(): number
  /** Tells all to end and waits; kills what does not end in time. */
  stop(): Promise<void>
}

export interface CrewOptions {
  mesh: string
  secret: string
  /** Addresses of a node to find the others by. */
  join: readonly string[]
  /** Where each agent keeps its identity and its part of the journal, in a folder of its own. */
  dataRoot: string
  say(text: string): void
}

export const startCrew = (options: CrewOptions): Crew => {
  const children = new Map<AgentName, ChildProcess>()
  const counts = new Map<AgentName, number>()
  const timers = new Set<NodeJS.Timeout>()
  let stopping = false

  const start = (name: AgentName): void => {
    const child = fork(PROGRAM, [name, options.mesh, join(options.dataRoot, name), ...options.join], {
      // Five processes load the same modules: what the first one compiled, the others and later runs take from here.
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, PARLEY_SECRET: options.secret },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    children.set(name, child)
    child.on('error', (error) => options.say(`${name} could not be started: ${error.message}`))
    child.once('exit', (code, signal) => {
      if (stopping) return
      const restarts = (counts.get(name) ?? 0) + 1
      counts.set(name, restarts)
      const how = signal ?? `code ${code}`
      if (restarts > MAX_RESTARTS) {
        options.say(`${name} ended (${how}) and is not started again after ${MAX_RESTARTS} restarts`)
        return
      }
      options.say(`${name} ended (${how}); its work goes to others, and it is started again`)
      const timer = setTimeout(() => {
        timers.delete(timer)
        start(name)
      }, RESTART_DELAY_MS)
      timers.add(timer)
    })
  }
  for (const name of AGENTS) start(name)

  const ended = (child: ChildProcess): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve()
      else child.once('exit', () => resolve())
    })

  return {
    pids: () => {
      const pid = (name: AgentName): number | undefined => children.get(name)?.pid
      return {
        outliner: pid('outliner'),
        keyworder: pid('keyworder'),
        summarizer: pid('summarizer'),
        linker: pid('linker'),
        composer: pid('composer'),
      }
    },
    restarts: () => [...counts.values()].reduce((sum, count) => sum + count, 0),
    async stop() {
      stopping = true
      for (const timer of timers) clearTimeout(timer)
      const all = [...children.values()]
      for (const child of all) if (child.connected) child.send('stop', () => {})
      const kill = setTimeout(() => {
        for (const child of all) child.kill('SIGKILL')
      }, FAREWELL_MS)
      await Promise.all(all.map(ended))
      clearTimeout(kill)
    },
  }
}
