/** Google's LevelDB: what messages rested on before, and the nearest thing to it that is well kept. */
import type { ClassicLevel as Level } from 'classic-level'
import type { System } from '../system.ts'

const LOG_BYTES = 32 * 1024 * 1024

export const system: System = {
  store: {
    open: async (folder) => {
      const { ClassicLevel } = await import('classic-level')
      const level: Level<string, Uint8Array> = new ClassicLevel(folder, {
        keyEncoding: 'utf8',
        valueEncoding: 'view',
        writeBufferSize: LOG_BYTES,
        compression: false,
      })
      await level.open()
      return {
        async write(rows) {
          const batch = level.batch()
          for (const [key, value] of rows) {
            if (value === undefined) batch.del(key)
            else batch.put(key, value)
          }
          await batch.write({ sync: true })
        },
        get: (key) => level.get(key),
        close: () => level.close(),
      }
    },
  },
}
