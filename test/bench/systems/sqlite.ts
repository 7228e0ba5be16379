/** SQLite as Node brings it: a table without row ids, in WAL mode, each transaction synced. It has no other way than to block. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { System } from '../system.ts'

export const system: System = {
  store: {
    open: async (folder) => {
      const { DatabaseSync } = await import('node:sqlite')
      await mkdir(folder, { recursive: true })
      const db = new DatabaseSync(join(folder, 'rows'))
      db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA auto_vacuum=INCREMENTAL')
      db.exec('CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID')
      const put = db.prepare('INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      const remove = db.prepare('DELETE FROM rows WHERE key = ?')
      const get = db.prepare('SELECT value FROM rows WHERE key = ?')
      return {
        async write(rows) {
          db.exec('BEGIN')
          for (const [key, value] of rows) {
            if (value === undefined) remove.run(key)
            else put.run(key, value)
          }
          db.exec('COMMIT')
        },
        get: async (key) => {
          const value = get.get(key)?.value
          return value instanceof Uint8Array ? value : undefined
        },
        async close() {
          db.close()
        },
      }
    },
  },
}
