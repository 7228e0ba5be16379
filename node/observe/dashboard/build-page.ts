/** `node build.ts FOLDER`: writes the files of the debug page there; a step of `npm run build`. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundlePage } from './bundle-page.ts'
import { ASSETS, type AssetPath } from './page-assets.ts'

const [, , folder = 'dist/node/observe/dashboard/built'] = process.argv
const files = await bundlePage()
await mkdir(folder, { recursive: true })
for (const [path, name] of Object.entries(ASSETS)) await writeFile(join(folder, name), files[path as AssetPath])
