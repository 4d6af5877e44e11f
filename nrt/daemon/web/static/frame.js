// A binary frame, as nrt/daemon/web/frames.py lays it out.

const HEADER = 48;
const DOT = 8;

/** The header's fields, the dots as a DataView, and the picture as mask and values; null for what is no frame. */
export function read(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER || view.getUint8(0) !== 1 || view.getUint8(1) !== 1) return null;
  const columns = view.getUint16(4, true);
  const rows = view.getUint16(6, true);
  const dots = view.getUint32(20, true);
  const mask = HEADER + dots * DOT;
  const values = mask + Math.ceil((columns * rows) / 8);
  if (buffer.byteLength < values) return null;
  return {
    columns,
    rows,
    layout: view.getUint16(10, true),
    number: view.getUint32(12, true),
    events: view.getUint32(16, true),
    end: view.getFloat64(32, true),
    came: view.getFloat64(40, true),
    dots: new DataView(buffer, HEADER, dots * DOT),
    mask: new Uint8Array(buffer, mask, values - mask),
    values: new Uint8Array(buffer, values),
  };
}
