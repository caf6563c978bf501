// A Modbus TCP slave made with the npm package modbus-serial: registers come as JSON on the command line,
// {"unit": {"function,address": word}}. Prints its port once it listens.
//
//   node modbus_slave.js MODULES REGISTERS

const path = require("path");
const { ServerTCP } = require(path.join(process.argv[2], "modbus-serial"));
const registers = JSON.parse(process.argv[3]);

function reader(code) {
    return (address, unit) => {
        const word = (registers[unit] || {})[`${code},${address}`];
        if (word === undefined) throw { modbusErrorCode: 2 };
        return word;
    };
}

// Unit 255 answers for every unit.
const server = new ServerTCP(
    { getHoldingRegister: reader(3), getInputRegister: reader(4) },
    { host: "127.0.0.1", port: 0, unitID: 255 },
);
server.on("initialized", () => console.log(server._server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
