/** `node build-page.ts FOLDER`: writes the files of the debug page there; a step of `npm run build`. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundlePage } from './bundle-page.ts'

const [, , folder = 'dist/node/observe/dashboard/built'] = process.argv
const files = await bundlePage()
await mkdir(folder, { recursive: true })
for (const [kind, bytes] of Object.entries(files)) await writeFile(join(folder, `page.${kind}`), bytes)
