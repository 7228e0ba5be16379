/**
 * The limit of a journal: one process, nobody else, each decision written to its disk and synced before it is answered,
 * those that wait together in one write. What any replicated journal is slower than.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Body } from '../body.ts'
import { benchDirectory } from '../surroundings.ts'
import type { System } from '../system.ts'

export const system: System = {
  journal: {
    // The one seat is where decisions are asked for: there is nobody to talk to.
    seat: async () => ({ address: '', leads: () => true, stop: async () => {} }),
    connect: async () => {
      const file = await open(join(benchDirectory(), `synced-${process.pid}`), 'a')
      const kept = new Map<string, Body>()
      let waiting: { line: string; done: PromiseWithResolvers<void> }[] = []
      let isWriting = false
      const write = async (): Promise<void> => {
        isWriting = true
        while (waiting.length > 0) {
          const batch = waiting
          waiting = []
          await file.write(batch.map(({ line }) => line).join(''))
          await file.datasync()
          for (const { done } of batch) done.resolve()
        }
        isWriting = false
      }
      return {
        decide(key, body) {
          kept.set(key, body)
          const done = Promise.withResolvers<void>()
          waiting.push({ line: `${JSON.stringify({ key, body })}\n`, done })
          if (!isWriting) void write()
          return done.promise
        },
        read: async (key) => kept.get(key),
        stop: () => file.close(),
      }
    },
  },
}
