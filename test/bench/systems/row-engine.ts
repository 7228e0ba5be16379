/** The engine under what the product keeps. */
import { randomBytes } from 'node:crypto'
import { timers } from '../../../node/platform/platform.ts'
import { openFolder } from '../../../node/store/files/disk.ts'
import { RowEngine } from '../../../node/store/rows/row-engine.ts'
import type { StoreEnd } from '../system.ts'

export const store: StoreEnd = {
  open: async (folder) => {
    const engine = await RowEngine.open(await openFolder(folder), {
      random: (bytes) => new Uint8Array(randomBytes(bytes)),
      log: { warn: (message, fields) => process.stderr.write(`${message} ${String(fields?.error)}\n`) },
      timers,
    })
    return { write: (rows) => engine.write(rows), get: (key) => engine.get(key), close: () => engine.close() }
  },
}
