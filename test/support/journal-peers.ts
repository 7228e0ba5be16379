/**
 * Nodes with a journal as processes of their own: started, asked over IPC, killed. What they can be asked is in
 * journal-peer.ts.
 *
 * State: the processes that are alive; all of them are killed by pid when the test file ends, also when it fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MeshOptionsInput } from '../../node/index.ts'
import type { Answer, Input, Output, Question, Verb } from './journal-peer.ts'
import { RemoteFailure } from './processes.ts'
import { programOf } from './program.ts'

const PROGRAM = programOf('test/support/journal-peer.ts')
const ASK_LIMIT_MS = 30_000
/** Compiled modules, shared with the other processes of tests. */
const COMPILED = join(tmpdir(), 'parley-test-compile-cache')
const STDERR_CHARS = 8_000

export interface JournalPeer {
  readonly id: string
  readonly name: string
  /** @throws RemoteFailure with what the verb failed with; Error when the process is gone or silent */
  ask<V extends Verb>(verb: V, input: Input<V>): Promise<Output<V>>
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
  complaints(): string
}

const alive = new Set<ChildProcess>()

/** Kills all that was started and is still there. */
export const endJournalPeers = (): void => {
  for (const child of alive) child.kill('SIGKILL')
}
process.on('exit', endJournalPeers)

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** @param enter command that runs the process somewhere else, such as a network namespace */
export const startJournalPeer = async (
  options: MeshOptionsInput & { name: string },
  enter: readonly string[] = [],
): Promise<JournalPeer> => {
  const [command = '', ...rest] = [...enter, process.execPath, PROGRAM]
  const child = spawn(command, rest, {
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, Waiting>()
  const ended = Promise.withResolvers<void>()
  let complaints = ''
  let serial = 0
  let over: Error | undefined
  alive.add(child)

  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-STDERR_CHARS)
  })
  child.on('exit', (code, signal) => {
    over = new Error(`${options.name} ended with ${signal ?? code}; it said: ${complaints.trim()}`)
    alive.delete(child)
    for (const { reject } of waiting.values()) reject(over)
    waiting.clear()
    ended.resolve()
  })
  child.on('message', (answer: Answer) => {
    const one = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('failure' in answer) one?.reject(new RemoteFailure(answer.failure))
    else one?.resolve(answer.value)
  })

  const ask = async <V extends Verb>(verb: V, input: Input<V>): Promise<Output<V>> => {
    if (over !== undefined) throw over
    serial += 1
    const id = serial
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    waiting.set(id, { resolve, reject })
    const late = (): void =>
      reject(new Error(`${options.name} did not answer ${verb} within ${ASK_LIMIT_MS} ms; ${complaints}`))
    const timer = setTimeout(late, ASK_LIMIT_MS)
    const question: Question = { id, verb, input }
    child.send(question, (error) => {
      if (error !== null) reject(error)
    })
    try {
      // Both ends are typed by the same table of verbs.
      return (await promise) as Output<V>
    } finally {
      clearTimeout(timer)
      waiting.delete(id)
    }
  }

  const { id } = await ask('start', options)
  return {
    id,
    name: options.name,
    ask,
    async kill() {
      child.kill('SIGKILL')
      await ended.promise
    },
    complaints: () => complaints,
  }
}
