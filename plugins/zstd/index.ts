/**
 * `zstd+…`: compresses what is not compressed yet. Every write leaves at once (flushed), one frame lasts a whole direction,
 * and the end of that frame is the end: one that is missing is a cut, over whatever transport.
 */
import { constants, createZstdCompress, createZstdDecompress, type ZstdDecompress } from 'node:zlib';
import { defineLayer, through } from 'sluice/plugin';

/** As much as a level up to 19 needs (8 MiB): a peer cannot make us take more memory. */
const LARGEST_WINDOW = 23;

const compressing = (level: number) =>
  createZstdCompress({
    flush: constants.ZSTD_e_flush,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });

/** An end before the first byte is one of below, as no frame has ended. */
function decompressing(): ZstdDecompress {
  const stream = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: LARGEST_WINDOW } });
  const end = stream.end.bind(stream);
  stream.end = ((...given: Parameters<typeof end>) =>
    stream.bytesWritten === 0 && stream.writableLength === 0
      ? stream.destroy(new Error('zstd: the connection ended before it began'))
      : end(...given)) as typeof end;
  return stream;
}

export default defineLayer({
  contract: 1,
  name: 'zstd',
  summary: 'compressed with zstd, both ways; the end is in the data',
  options: { level: { type: 'integer', min: 1, max: 19, default: 3, help: 'how hard to compress what we send' } },
  keeps: ['half-close'],
  adds: ['proves-end', 'tells-cut'],
  parse: ({ options }) => options,
  wrap: ({ level }, { stream }) => ({
    stream: through(stream, { outgoing: compressing(level), incoming: decompressing() }),
  }),
});
