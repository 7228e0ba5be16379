/**
 * Processes of the soak, as the conductor has them: forked, asked over IPC, killed.
 *
 * State: those that are alive. All are killed when the conductor ends, however it ends.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Note, Said } from './messages.ts'

const ASK_LIMIT_MS = 60_000
const STDERR_CHARS = 8_000
const COMPILED = join(tmpdir(), 'parley-test-compile-cache')

type Verbs = { [name: string]: (input: never) => Promise<unknown> }

export interface Child<V> {
  readonly pid: number
  ask<K extends keyof V>(
    verb: K,
    ...input: V[K] extends (...args: infer A) => unknown ? A : never
  ): Promise<V[K] extends (...args: never[]) => Promise<infer R> ? R : never>
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
  /** Closes the channel: it must end by itself. */
  leaveAlone(): void
  /** Exit code or signal. */
  readonly ended: Promise<number | NodeJS.Signals>
}

const alive = new Set<ChildProcess>()

export const killAll = (): void => {
  for (const child of alive) child.kill('SIGKILL')
}
process.on('exit', killAll)

export const forkChild = <V extends { [K in keyof V]: Verbs[string] }>(
  program: string,
  hear: (note: Note) => void,
  flags: readonly string[] = [],
): Child<V> => {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), [], {
    execArgv: ['--expose-gc', ...flags],
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<number | NodeJS.Signals>()
  let complaints = ''
  let serial = 0
  let over: Error | undefined
  alive.add(child)

  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-STDERR_CHARS)
  })
  child.on('exit', (code, signal) => {
    alive.delete(child)
    over = new Error(`${program} (${child.pid}) ended with ${signal ?? code}; it said: ${complaints.trim()}`)
    for (const { reject } of waiting.values()) reject(over)
    waiting.clear()
    setEnded(signal ?? code ?? -1)
  })
  child.on('message', (said: Said) => {
    if ('note' in said) return hear(said.note)
    const one = waiting.get(said.id)
    waiting.delete(said.id)
    if ('error' in said) one?.reject(new Error(said.error))
    else one?.resolve(said.value)
  })

  return {
    pid: child.pid ?? -1,
    async ask(verb, ...[input]) {
      if (over !== undefined) throw over
      serial += 1
      const id = serial
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      waiting.set(id, { resolve, reject })
      const timer = setTimeout(
        () => reject(new Error(`${program} did not answer ${String(verb)} within ${ASK_LIMIT_MS} ms; ${complaints}`)),
        ASK_LIMIT_MS,
      )
      child.send({ id, verb, input }, (error) => {
        if (error !== null) reject(error)
      })
      try {
        // Both ends are typed by the same table of verbs.
        return (await promise) as never
      } finally {
        clearTimeout(timer)
        waiting.delete(id)
      }
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    leaveAlone: () => void child.send({ id: 0, verb: 'leave alone', input: undefined }),
    ended,
  }
}
