/** The side of a process of the soak: it answers what it is asked over IPC, and ends when whoever started it is gone. */
import { nowMs } from './clock.ts'
import type { Note, Question, Said } from './messages.ts'
import type { Tell } from './node.ts'

const say = (said: Said): void => {
  process.send?.(said)
}

export const note = (what: Note): void => say({ note: what })

/** How a node of this process tells the conductor. */
export const tell: Tell = {
  failure: (failure) => note({ type: 'failure', failure }),
  wrong: (what) => note({ type: 'wrong', what }),
  leaving: (peer) => note({ type: 'leaving', peer, at: nowMs() }),
}

export const answerQuestions = (verbs: Record<string, (input: never) => Promise<unknown>>): void => {
  let ending = false
  // A terminal's Ctrl-C reaches all processes; the conductor decides what follows.
  process.on('SIGINT', () => {})
  process.on('disconnect', () => {
    if (!ending) process.exit(1)
  })
  process.on('message', ({ id, verb, input }: Question) => {
    if (verb === 'leave alone') {
      ending = true
      process.disconnect()
      // Signal handlers must not be what keeps it.
      process.removeAllListeners('SIGINT')
      return
    }
    const run = verbs[verb]
    if (run === undefined) return say({ id, error: `there is no verb ${verb}` })
    run(input as never).then(
      (value) => say({ id, value }),
      (error: unknown) => say({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
}
