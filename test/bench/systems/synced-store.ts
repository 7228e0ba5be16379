/**
 * The limit of a journal: one process, nobody else, each decision written to its disk and synced before it is answered,
 * those that wait together in one write. What any replicated journal is slower than.
 */
import { join } from 'node:path'
import type { Body } from '../body.ts'
import { benchDirectory } from '../surroundings.ts'
import { openSyncedLog } from '../synced-log.ts'
import type { System } from '../system.ts'

export const system: System = {
  journal: {
    // The one seat is where decisions are asked for: there is nobody to talk to.
    seat: async () => ({ address: '', leads: () => true, stop: async () => {} }),
    connect: async () => {
      const log = await openSyncedLog(join(benchDirectory(), `synced-${process.pid}`))
      const kept = new Map<string, Body>()
      return {
        decide: (key, body) => {
          kept.set(key, body)
          return log.add(JSON.stringify({ key, body }))
        },
        read: async (key) => kept.get(key),
        stop: () => log.close(),
      }
    },
  },
}
