/**
 * Peers as processes of their own: forked, asked over IPC, frozen, killed.
 *
 * State: the processes that are alive. All of them are killed by pid when the test file ends, also when it fails or is
 * told to stop; a frozen one too, since SIGKILL needs no cooperation.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Answer, Failure, Question } from './peer-process.ts'
import type { Input, Output, StartOptions, Verb } from './peer-verbs.ts'
import { programOf } from './program.ts'
import { until } from './until.ts'

const PROGRAM = programOf('test/support/peer-process.ts')
const ASK_LIMIT_MS = 20_000
/** Compiled modules, shared by all processes of all test files: each starts in half the time. */
const COMPILED = join(tmpdir(), 'parley-test-compile-cache')
const STDERR_CHARS = 8_000

/** What a verb failed with in the other process. */
export class RemoteFailure extends Error {
  readonly code: string | undefined
  readonly hint: string | undefined
  readonly details: unknown
  readonly remote: boolean
  constructor({ name, message, code, hint, details, remote }: Failure) {
    super(message)
    this.name = name
    this.code = code
    this.hint = hint
    this.details = details
    this.remote = remote
  }
}

export interface PeerProcess {
  readonly pid: number
  /** @throws RemoteFailure with what the verb failed with; Error when the process is gone or silent */
  ask<V extends Verb>(verb: V, input: Input<V>, options?: { as?: string; limitMs?: number }): Promise<Output<V>>
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
  /** SIGSTOP: it keeps its sockets and does nothing. */
  freeze(): void
  thaw(): void
  /** Closes the channel: from now on it runs until nothing keeps it. */
  leaveAlone(): void
  /** Exit code or signal. */
  readonly ended: Promise<number | NodeJS.Signals>
  complaints(): string
}

/** A process with one mesh. */
export interface Peer extends PeerProcess {
  readonly id: string
  readonly addresses: string[]
  readonly debugUrl: string | undefined
}

const alive = new Set<ChildProcess>()

/** Kills all that was started and is still there. */
export const endProcesses = (): void => {
  for (const child of alive) child.kill('SIGKILL')
}
process.on('exit', endProcesses)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** @param enter command that runs the process somewhere else, such as a network namespace */
export const forkProcess = (enter: readonly string[] = []): PeerProcess => {
  const [command = '', ...rest] = [...enter, process.execPath, '--expose-gc', PROGRAM]
  const child = spawn(command, rest, {
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, Waiting>()
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<number | NodeJS.Signals>()
  let complaints = ''
  let serial = 0
  let over: string | undefined
  alive.add(child)

  const finish = (how: number | NodeJS.Signals): void => {
    over = `process ${child.pid} ended with ${how}; it said: ${complaints.trim()}`
    alive.delete(child)
    for (const { reject } of waiting.values()) reject(new Error(over))
    waiting.clear()
    setEnded(how)
  }
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-STDERR_CHARS)
  })
  child.on('exit', (code, signal) => finish(signal ?? code ?? -1))
  child.on('message', (answer: Answer) => {
    const one = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('failure' in answer) one?.reject(new RemoteFailure(answer.failure))
    else one?.resolve(answer.value)
  })
  const send = (question: Question): void => {
    child.send(question, (error) => {
      if (error !== null) waiting.get(question.id)?.reject(error)
    })
  }

  return {
    pid: child.pid ?? -1,
    async ask(verb, input, { as = 'main', limitMs = ASK_LIMIT_MS } = {}) {
      if (over !== undefined) throw new Error(over)
      serial += 1
      const id = serial
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      waiting.set(id, { resolve, reject })
      const timer = setTimeout(
        () => reject(new Error(`process ${child.pid} did not answer ${verb} within ${limitMs} ms; ${complaints}`)),
        limitMs,
      )
      send({ id, verb, as, input })
      try {
        // Both ends are typed by the same table of verbs.
        return (await promise) as Output<typeof verb>
      } finally {
        clearTimeout(timer)
        waiting.delete(id)
      }
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    leaveAlone: () => send({ id: 0, verb: 'disconnect', as: 'main', input: undefined }),
    ended,
    complaints: () => complaints,
  }
}

/** A new process with one mesh, which serves probe unless told not to; `enter` as for forkProcess(). */
export const startPeer = async (
  options: StartOptions,
  { serve = true, enter = [] as readonly string[] } = {},
): Promise<Peer> => {
  const process = forkProcess(enter)
  const facts = await process.ask('start', options)
  if (serve) await process.ask('serve', undefined)
  return { ...process, ...facts }
}

/** @param names of those that it is connected to, in order, with commas between */
export const untilMembers = (peer: Peer, names: string): Promise<unknown> =>
  until(`it is connected to ${names}`, async () => {
    const { members } = await peer.ask('facts', undefined)
    return (
      members
        .map(({ name }) => name)
        .sort()
        .join() === names
    )
  })
