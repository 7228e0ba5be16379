/**
 * What a test may ask of durable messages in another process: notes are sent, and received by a handler or by the inbox.
 * State, per mesh: what its handler took, and whether it refuses notes that are poison.
 */
import * as z from 'zod'
import { defineMessage, type Mesh } from '../../node/index.ts'
import type { RetryPolicy } from '../../protocols/delivery/options.ts'

export const note = defineMessage({
  type: 'note',
  version: '1.0.0',
  schema: z.object({ n: z.number(), isPoison: z.boolean().default(false) }),
})

interface NoteInput {
  to: string
  from?: number
  count?: number
  isPoison?: boolean
  retry?: Partial<RetryPolicy>
}

export const messageVerbs = (meshOf: (as: string) => Mesh) => {
  const handlers = new Map<string, { taken: number[]; isCured: boolean }>()
  const handlerOf = (as: string) => {
    const known = handlers.get(as)
    if (known === undefined) throw new Error(`mesh ${as} receives no notes`)
    return known
  }
  return {
    /** Resolves once they are durable here. */
    sendNotes: async (as: string, { to, from = 0, count = 1, isPoison = false, retry = {} }: NoteInput) => {
      const { messages } = meshOf(as)
      const about = { guarantee: 'EXACTLY_ONCE', conversationId: 'notes', retry } as const
      const ids: string[] = []
      for (let n = from; n < from + count; n += 1) ids.push((await messages.send(to, note, { n, isPoison }, about)).id)
      return ids
    },
    receiveNotes: async (as: string, _: undefined) => {
      const handler = { taken: [] as number[], isCured: false }
      handlers.set(as, handler)
      await meshOf(as).messages.receive(note, ({ n, isPoison }) => {
        if (isPoison && !handler.isCured) throw new Error('a poisoned note of a test')
        handler.taken.push(n)
      })
    },
    cure: async (as: string, _: undefined) => {
      handlerOf(as).isCured = true
    },
    notes: async (as: string, _: undefined) => handlerOf(as).taken,
    openInbox: async (as: string, _: undefined) => {
      await meshOf(as).messages.inbox.open({ types: [note] })
    },
    /** The notes that lie in the inbox, in its order. */
    inboxNotes: async (as: string, _: undefined) => {
      const { inbox } = meshOf(as).messages
      const items = await Promise.all((await inbox.list({ limit: 1_000 })).map(({ id }) => inbox.read(id)))
      return items.map(({ message }) => note.schema.parse(message.data).n)
    },
    /** Works so many off. */
    workOff: async (as: string, { count }: { count: number }) => {
      const done: number[] = []
      for await (const item of meshOf(as).messages.inbox.items()) {
        await item.done()
        done.push(note.schema.parse(item.message.data).n)
        if (done.length === count) break
      }
      return done
    },
    delivery: async (as: string, _: undefined) => meshOf(as).messages.figures(),
  }
}
