/** A state machine for tests: a list of words, in the order in which they were decided. */
import type { StateMachine } from '../../protocols/consensus/group/group-api.ts'

export interface Words extends StateMachine {
  readonly words: string[]
}

export const createWords = (): Words => {
  const words: string[] = []
  return {
    words,
    apply(command) {
      words.push(new TextDecoder().decode(command))
      return words.length
    },
    snapshot: () => [new TextEncoder().encode(JSON.stringify(words))],
    restore(chunks) {
      words.length = 0
      words.push(...JSON.parse(new TextDecoder().decode(Buffer.concat(chunks))))
    },
  }
}

export const word = (text: string): Uint8Array => new TextEncoder().encode(text)
