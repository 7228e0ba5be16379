/** A state machine for tests: a list of words, in the order in which they were decided. */

import type { StateMachine } from '../../protocols/consensus/group/group-api.ts'
import type { SavedRows, StateRow } from '../../protocols/consensus/group/group-storage.ts'

export interface Words extends StateMachine {
  readonly words: string[]
}

const ALL = 'all'

/** Machines that keep all that they have under one key: how it travels. */
export const oneRow: Pick<StateMachine, 'encode' | 'decode'> = {
  async *encode(saved) {
    yield await readOneRow(saved)
  },
  async *decode(chunks): AsyncGenerator<StateRow> {
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(chunk)
    yield { key: ALL, value: Buffer.concat(parts) }
  },
}
export const readOneRow = async (saved: SavedRows): Promise<Uint8Array> => (await saved.get(ALL)) ?? new Uint8Array()
export const changesOfOneRow = (value: Uint8Array): ReturnType<StateMachine['changes']> => ({
  rows: [{ key: ALL, value }],
  settle: (saved) => saved?.release(),
})

export const createWords = (): Words => {
  const words: string[] = []
  return {
    ...oneRow,
    words,
    apply(command) {
      words.push(new TextDecoder().decode(command))
      return words.length
    },
    changes: () => changesOfOneRow(new TextEncoder().encode(JSON.stringify(words))),
    async restore(saved) {
      const read = JSON.parse(new TextDecoder().decode(await readOneRow(saved)))
      saved.release()
      words.length = 0
      words.push(...read)
    },
  }
}

export const word = (text: string): Uint8Array => new TextEncoder().encode(text)
