/** LMDB by its package lmdb: a B+ tree in mapped memory, without checksums. */
import type { System } from '../system.ts'

export const system: System = {
  store: {
    open: async (folder) => {
      const { open } = await import('lmdb')
      const db = open({ path: folder, encoding: 'binary', compression: false })
      return {
        async write(rows) {
          const done: Promise<boolean>[] = []
          for (const [key, value] of rows) done.push(value === undefined ? db.remove(key) : db.put(key, value))
          await Promise.all(done)
          // `put` resolves when it can be seen; this is when it is on the disk.
          await db.flushed
        },
        get: async (key) => db.get(key),
        close: () => db.close(),
      }
    },
  },
}
