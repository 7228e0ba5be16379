/**
 * The processes of a bench run: started by fork, asked over IPC, ended by pid. State: the pids that are alive.
 *
 * Guarantees: every question has a time limit; `killAll` is synchronous, so that it also works while this process
 * exits; a program that an end started (nats-server) is announced by that end and killed with it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ZodType, z } from 'zod'
import { programEnvironment } from './catalogue.ts'

export interface Command {
  readonly id: number
  readonly verb: string
  readonly input?: unknown
}
export type Reply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }

/** Said by an end about a program that it has started. */
export interface Announcement {
  readonly owns: number
}

const messageSchema = z.union([
  z.object({ owns: z.int().positive() }),
  z.object({ id: z.number(), error: z.string() }),
  z.object({ id: z.number(), value: z.unknown() }),
])

export interface End {
  /** This end, and the programs that it has started. */
  pids(): readonly number[]
  /** @throws when the end fails, dies, answers in another shape, or is silent for `limitMs` */
  ask<S extends ZodType>(verb: string, input: unknown, answer: S, limitMs: number): Promise<z.output<S>>
  stop(): Promise<void>
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
}

export interface Processes {
  start(suite: string, system: string, role: string): End
  stopAll(): Promise<void>
  killAll(): void
}

const STOP_LIMIT_MS = 2_000
const STDERR_CHARS = 4_000

const kill = (pid: number | undefined): void => {
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already, which is what was wanted.
  }
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

interface Child extends End {
  killNow(): void
}

interface Place {
  /** Where an end may write; it is emptied by whoever made it. */
  readonly directory: string
  /** The program of an end. */
  readonly program: URL
}

const startEnd = (args: readonly string[], { directory, program }: Place, onGone: (child: Child) => void): Child => {
  const label = args.join(' ')
  const forked: ChildProcess = fork(fileURLToPath(program), args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...programEnvironment(), PARLEY_BENCH_DIRECTORY: directory },
  })
  const waiting = new Map<number, Waiting>()
  const owned: number[] = []
  let nextId = 1
  let complaint = ''
  let over = false
  const { promise: gone, resolve: setGone } = Promise.withResolvers<void>()

  const finish = (why: string): void => {
    if (over) return
    over = true
    const error = new Error(`${label} ${why}${complaint === '' ? '' : `; it said: ${complaint.trim()}`}`)
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
    setGone()
    onGone(child)
  }

  forked.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-STDERR_CHARS)
  })
  forked.on('error', (error) => finish(`could not be started: ${error.message}`))
  forked.on('exit', (code, signal) => finish(`ended with ${signal ?? code}`))
  forked.on('message', (raw) => {
    const message = messageSchema.parse(raw)
    if ('owns' in message) {
      owned.push(message.owns)
      return
    }
    const one = waiting.get(message.id)
    waiting.delete(message.id)
    if ('error' in message) one?.reject(new Error(`${label}: ${message.error}`))
    else one?.resolve(message.value)
  })

  const killNow = (): void => {
    if (over) return
    kill(forked.pid)
    for (const pid of owned) kill(pid)
  }

  const child: Child = {
    pids: () => [...(forked.pid === undefined ? [] : [forked.pid]), ...owned],
    ask: async (verb, input, answer, limitMs) => {
      if (over) throw new Error(`${label} has ended and cannot be asked for ${verb}`)
      const id = nextId++
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      waiting.set(id, { resolve, reject })
      const timer = setTimeout(() => reject(new Error(`${label} did not ${verb} within ${limitMs} ms`)), limitMs)
      try {
        forked.send({ id, verb, input } satisfies Command)
        return answer.parse(await promise)
      } finally {
        clearTimeout(timer)
        waiting.delete(id)
      }
    },
    stop: async () => {
      if (over) return
      if (forked.connected) forked.send({ id: 0, verb: 'stop' } satisfies Command)
      const timer = setTimeout(killNow, STOP_LIMIT_MS)
      await gone
      clearTimeout(timer)
    },
    killNow,
    kill: async () => {
      killNow()
      await gone
    },
  }
  return child
}

const SOURCE = new URL('./end.ts', import.meta.url)

export const createProcesses = (directory: string, program: URL = SOURCE): Processes => {
  const alive = new Set<Child>()
  return {
    start: (suite, system, role) => {
      const child = startEnd([suite, system, role], { directory, program }, (gone) => alive.delete(gone))
      alive.add(child)
      return child
    },
    stopAll: async () => {
      await Promise.all([...alive].map((child) => child.stop()))
    },
    killAll: () => {
      for (const child of alive) child.killNow()
    },
  }
}
