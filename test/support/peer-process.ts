/**
 * A process of its own that hosts meshes and does what it is asked over IPC; see processes.ts.
 *
 * It ends when whoever started it is gone. After `disconnect` it is left alone: it has to end by itself, which is what
 * the tests of an ordered stop look at.
 */
import { flushCompileCache } from 'node:module'
import { type Verb, verbs } from './peer-verbs.ts'

/** An error as it crosses to the test. */
export interface Failure {
  name: string
  message: string
  code: string | undefined
  hint: string | undefined
  details: unknown
  remote: boolean
}

export interface Question {
  id: number
  verb: Verb | 'disconnect'
  as: string
  input: unknown
}
export type Answer = { id: number; value: unknown } | { id: number; failure: Failure }

const failureOf = (error: unknown): Failure => {
  const given = typeof error === 'object' && error !== null ? (error as Partial<Failure>) : {}
  return {
    name: given.name ?? 'Error',
    message: given.message ?? String(error),
    code: given.code === undefined ? undefined : String(given.code),
    hint: given.hint,
    details: given.details,
    remote: given.remote === true,
  }
}

const say = (answer: Answer): void => {
  process.send?.(answer)
}

let leftAlone = false
process.on('disconnect', () => {
  if (!leftAlone) process.exit(1)
})
process.on('message', (question: Question) => {
  const { id, verb, as, input } = question
  if (verb === 'disconnect') {
    leftAlone = true
    process.disconnect()
    return
  }
  const run = verbs[verb] as (as: string, input: unknown) => Promise<unknown>
  run(as, input).then(
    (value) => {
      say({ id, value })
      // Here, since most of these processes are killed; it writes what is new and nothing else.
      if (verb === 'start') flushCompileCache()
    },
    (error: unknown) => say({ id, failure: failureOf(error) }),
  )
})
